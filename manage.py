#!/usr/bin/env python
"""The project's own command: `python manage.py help` lists what it can do."""

import os
import sys


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "searchapp.settings.main")
    from django.core.exceptions import ImproperlyConfigured
    from django.core.management import execute_from_command_line

    try:
        execute_from_command_line(sys.argv)
    except ImproperlyConfigured as error:
        # A wrong setting is the reader's to mend: a sentence helps, a traceback does not.
        sys.exit(f"lookalike: {error}")


if __name__ == "__main__":
    main()
