"""`manage.py index`: list, create, compare, activate and retire indexes of a dataset."""

from __future__ import annotations

import time
from typing import Any

from django.core.management import BaseCommand, CommandError, CommandParser

from searchapp.models import Dataset, Index, IndexState
from searchapp.services.errors import ServiceError
from searchapp.services.indexes import build, comparison, lifecycle, pipelines

_WAIT_SECONDS = 1.0


class Command(BaseCommand):
    help = "List, create, compare, activate, roll back, retire or retry the indexes of datasets."

    def add_arguments(self, parser: CommandParser) -> None:
        actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
        listed = actions.add_parser("list", help="the indexes of one dataset, or of all")
        listed.add_argument("dataset", nargs="?", help="its slug")
        actions.add_parser("pipelines", help="the pipelines that an index can be made with")
        create = actions.add_parser("create", help="begin an index under another pipeline")
        create.add_argument("dataset", help="its slug")
        create.add_argument("pipeline", help="its name, as `index pipelines` lists it")
        create.add_argument("--wait", action="store_true", help="return when it is ready or failed")
        compared = actions.add_parser("compare", help="two indexes by a sample of pictures")
        compared.add_argument("a", type=int, help="the number of one index")
        compared.add_argument("b", type=int, help="the number of the other")
        compared.add_argument("--seed", type=int, default=1, help="another one, another sample")
        back = actions.add_parser("rollback", help="activate the index that was active before")
        back.add_argument("dataset", help="its slug")
        for action, what in (
            ("activate", "let searches use an index that is ready"),
            ("retire", "give up an index that no search uses, and free its space"),
            ("retry", "go on with an index that failed, or try its gaps again"),
        ):
            one = actions.add_parser(action, help=what)
            one.add_argument("index", type=int, help="its number, as `index list` shows it")

    def handle(self, *args: Any, action: str, **options: Any) -> None:
        try:
            getattr(self, f"_{action}")(**options)
        except ServiceError as error:
            raise CommandError(error.detail) from None

    def _list(self, dataset: str | None, **_: Any) -> None:
        indexes = Index.objects.select_related("dataset").order_by("dataset__slug", "pk")
        if dataset is not None:
            indexes = indexes.filter(dataset=_dataset(dataset))
        for index in indexes:
            self._tell(index)

    def _pipelines(self, **_: Any) -> None:
        for pipeline in pipelines.available():
            self.stdout.write(
                f"{pipeline.name}  {pipeline.dimension} dimensions  {pipeline.sentence}"
            )

    def _create(self, dataset: str, pipeline: str, wait: bool, **_: Any) -> None:
        index = lifecycle.create_index(_dataset(dataset), pipeline)
        while wait and index.state == IndexState.BUILDING:
            time.sleep(_WAIT_SECONDS)
            index.refresh_from_db()
        self._tell(index)
        if index.state == IndexState.FAILED:
            raise CommandError(index.error_detail)

    def _compare(self, a: int, b: int, seed: int, **_: Any) -> None:
        result = comparison.compare(_index(a), _index(b), seed=seed)
        overlap = "nothing to share" if result.overlap is None else f"{100 * result.overlap:.1f} %"
        self.stdout.write(f"overlap@10 {overlap}, of {result.sampled} sampled pictures")
        for side in (result.a, result.b):
            built = "unknown" if side.built_per_second is None else f"{side.built_per_second:g}/s"
            search = "unknown" if side.search_ms is None else f"{side.search_ms:g} ms"
            self.stdout.write(
                f"index {side.index.pk} {side.index.pipeline}: {side.found_itself} of "
                f"{result.sampled} find themselves first, search {search}, built {built}"
            )

    def _activate(self, index: int, **_: Any) -> None:
        row = _index(index)
        lifecycle.activate(row)
        self._tell(row)

    def _rollback(self, dataset: str, **_: Any) -> None:
        self._tell(lifecycle.rollback(_dataset(dataset)))

    def _retire(self, index: int, **_: Any) -> None:
        row = _index(index)
        lifecycle.retire(row)
        self._tell(row)

    def _retry(self, index: int, **_: Any) -> None:
        row = _index(index)
        lifecycle.try_again(row)
        self._tell(row)

    def _tell(self, index: Index) -> None:
        progress = build.progress_of([index])[index.pk]
        far = f" {progress.done}/{progress.total}" if index.state == IndexState.BUILDING else ""
        why = f" {index.error_code}: {index.error_detail}" if index.error_code else ""
        self.stdout.write(
            f"{index.pk} {index.dataset.slug} {index.pipeline} {index.fingerprint[:12]} "
            f"{index.dimension} dimensions {index.state}{far}{why}"
        )


def _dataset(slug: str) -> Dataset:
    dataset = Dataset.objects.filter(slug=slug, deleted=None).first()
    if dataset is None:
        raise CommandError(f"There is no dataset '{slug}'.")
    return dataset


def _index(pk: int) -> Index:
    index = Index.objects.select_related("dataset").filter(pk=pk).first()
    if index is None:
        raise CommandError(f"There is no index {pk}.")
    return index
