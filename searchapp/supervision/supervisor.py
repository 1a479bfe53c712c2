"""Supervisor inside this process: restarts programs that die, and gives up on repeated deaths."""

from __future__ import annotations

import contextlib
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from django.conf import settings
from supervisor import events
from supervisor.medusa import asyncore_25 as asyncore
from supervisor.options import ServerOptions
from supervisor.states import SupervisorStates
from supervisor.supervisord import Supervisor

from searchapp.supervision.programs import Program

# After this many early deaths in a row, another start would not help. A death is early within this
# many seconds: on a busy machine, it takes a while after a start until an error shows.
MAX_YOUNG_DEATHS, YOUNG_SECONDS = 4, 30.0
_LAST_LINES = 15


def log_file(name: str) -> Path:
    return Path(settings.DATA_DIR) / "log" / f"{name}.log"


def _quoted(word: str) -> str:
    """Quote a word for Supervisor's command lines, in which % and quotes are special."""
    escaped = word.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'.replace("%", "%%")


def _section(program: Program, priority: int) -> str:
    tether = [sys.executable, "-m", "searchapp.supervision.tether"]
    if program.lock is not None:
        tether += ["--lock", str(program.lock)]
    if program.nice:
        tether += ["--nice", str(program.nice)]
    command = " ".join(_quoted(word) for word in [*tether, *program.command])
    log = str(log_file(program.name)).replace("%", "%%%%")  # it is expanded twice
    return f"""
[program:{program.name}]
command={command}
directory={str(settings.BASE_DIR).replace("%", "%%")}
environment=PYTHONUNBUFFERED="1"
priority={priority}
startsecs=3
startretries=3
autorestart=true
stopwaitsecs={program.stop_seconds}
killasgroup=true
redirect_stderr=true
stdout_logfile={log}
stdout_logfile_maxbytes=10MB
stdout_logfile_backups=2
"""


def write_configuration(programs: Sequence[Program]) -> Path:
    """Write Supervisor's configuration file into the runtime folder and return its path."""
    log_file("supervisor").parent.mkdir(parents=True, exist_ok=True)
    header = f"""[supervisord]
nodaemon=true
silent=true
minfds=1024
logfile={str(log_file("supervisor")).replace("%", "%%")}
logfile_maxbytes=2MB
logfile_backups=1
pidfile={str(settings.RUNTIME_DIR / "supervisor.pid").replace("%", "%%")}
"""
    path = Path(settings.RUNTIME_DIR) / "supervisor.conf"
    sections = [_section(program, 10 * rank) for rank, program in enumerate(programs, start=1)]
    path.write_text(header + "".join(sections))
    return path


class _Supervisor(Supervisor):  # type: ignore[misc]
    """Supervisor that adds event listeners in `runforever`, because it clears earlier ones."""

    def __init__(self, options: ServerOptions, listen: Callable[[], None]) -> None:
        super().__init__(options)
        self._listen = listen

    def runforever(self) -> None:
        self._listen()
        super().runforever()


class Watch:
    """Runs the programs until a signal arrives or a program dies repeatedly."""

    def __init__(self, programs: Sequence[Program]) -> None:
        self._options = ServerOptions()
        self._options.realize(["-c", str(write_configuration(programs))], doc=__doc__)
        self._options.first = True
        self._options.test = False
        self._young_deaths: Counter[str] = Counter()
        self.reason: str | None = None

    @property
    def stopping(self) -> bool:
        return bool(self._options.mood < SupervisorStates.RUNNING)

    def run(self) -> str | None:
        """Run until everything has stopped.

        Returns the reason as a text, or None if it was stopped on request.
        """
        with contextlib.suppress(asyncore.ExitNow):
            _Supervisor(self._options, self._listen).main()
        self._options.close_logger()
        return self.reason

    def _listen(self) -> None:
        for died in (events.ProcessStateExitedEvent, events.ProcessStateBackoffEvent):
            events.subscribe(died, self._note_death)
        events.subscribe(events.ProcessStateFatalEvent, self._note_fatal)

    def _note_death(self, event: Any) -> None:
        if self.stopping:
            return
        name = event.process.config.name
        young = time.time() - event.process.laststart < YOUNG_SECONDS
        self._young_deaths[name] = self._young_deaths[name] + 1 if young else 0
        if self._young_deaths[name] >= MAX_YOUNG_DEATHS:
            self._give_up(name)

    def _note_fatal(self, event: Any) -> None:
        self._give_up(event.process.config.name)

    def _give_up(self, name: str) -> None:
        if self.reason is None:
            self.reason = f"'{name}' keeps dying. The end of its log, {log_file(name)}:\n" + _tail(
                log_file(name)
            )
            self._options.mood = SupervisorStates.SHUTDOWN


def _tail(path: Path) -> str:
    try:
        lines = path.read_text(errors="replace").splitlines()
    except OSError:
        return "  (there is no log)"
    return "\n".join(f"  {line}" for line in lines[-_LAST_LINES:])
