"""Hooks around a snapshot of a function, under the names of AWS's library, which a function may bring in place of this."""
_before, _after = [], []


def register_before_snapshot(func, *args, **kwargs):
    """Has func called before a snapshot is made; those registered last are called first. A decorator, too."""
    _before.append((func, args, kwargs))
    return func


def register_after_restore(func, *args, **kwargs):
    """Has func called whenever the function goes on from the snapshot, in the order of registration. A decorator, too."""
    _after.append((func, args, kwargs))
    return func


def get_before_snapshot():
    return _before


def get_after_restore():
    return _after
