"""Waiting for a condition until a deadline, instead of sleeping for luck."""

import socket
import time


class TookTooLong(AssertionError):
    pass


def until(condition, seconds, what, pause=0.02):
    """Returns the first true value of condition(). `what` may be a function that tells it when it is too late."""
    end = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise TookTooLong(f"not within {seconds} s: {what() if callable(what) else what}")
        time.sleep(pause)


def listens(address, number):
    try:
        socket.create_connection((address, number), 1).close()
        return True
    except OSError:
        return False


def port(address, number, seconds, alive=lambda: True):
    def open_port():
        if not alive():
            raise TookTooLong(f"the server of {address}:{number} ended")
        return listens(address, number)
    until(open_port, seconds, f"a listener on {address}:{number}")
