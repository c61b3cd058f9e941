"""A case that does not hold."""


class Failure(Exception):
    pass


def check(fact, why):
    if not fact:
        raise Failure(why)


def equal(got, want, what="value"):
    if got != want:
        raise Failure(f"{what}: want {want!r}, got {got!r}")
