"""Errors of fetching a picture."""


class FetchError(Exception):
    """A picture could not, or may not, be fetched.

    ``code`` is stable and meant for programs, ``detail`` is one plain sentence meant for people,
    ``retryable`` says whether the same address may work a little later.

    Sentences name what the person typed or what the public server answered. They never carry the
    text of an exception, a resolved address or the target of a redirect: those would tell a
    stranger about the network that this program runs in.
    """

    def __init__(self, code: str, detail: str, *, retryable: bool = False) -> None:
        super().__init__(code, detail, retryable)
        self.code = code
        self.detail = detail
        self.retryable = retryable

    def __str__(self) -> str:
        return f"{self.code}: {self.detail}"

    def __reduce__(self) -> tuple[object, ...]:
        # Exceptions are rebuilt from positional arguments when a process pool or a result backend
        # pickles them; our keyword would get in the way.
        return (_rebuild, (self.code, self.detail, self.retryable))


def _rebuild(code: str, detail: str, retryable: bool) -> FetchError:
    return FetchError(code, detail, retryable=retryable)
