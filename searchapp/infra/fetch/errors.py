"""Errors of fetching a picture."""


class FetchError(Exception):
    """An image could not, or may not, be fetched.

    `code` is stable and meant for programs. `detail` is one plain sentence for people.
    `retryable` is true if the same address may work a little later.

    Messages contain only what the user entered or what the public server answered. They never
    contain the text of an exception, a resolved address or the target of a redirect, because
    these would reveal details of the network that the server runs in.
    """

    def __init__(self, code: str, detail: str, *, retryable: bool = False) -> None:
        super().__init__(code, detail, retryable)
        self.code = code
        self.detail = detail
        self.retryable = retryable

    def __str__(self) -> str:
        return f"{self.code}: {self.detail}"

    def __reduce__(self) -> tuple[object, ...]:
        # Process pools and result backends pickle exceptions, which are rebuilt from positional
        # arguments only: `retryable` is a keyword.
        return (_rebuild, (self.code, self.detail, self.retryable))


def _rebuild(code: str, detail: str, retryable: bool) -> FetchError:
    return FetchError(code, detail, retryable=retryable)
