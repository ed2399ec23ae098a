"""Holds the write lock of an LMDB file until SIGTERM, as a slow disk does. Run as `lmdb_lock.py FILE`."""

import ctypes
import signal
import sys

NOSUBDIR = 0x4000


def call(function, *arguments):
    result = function(*arguments)
    assert result == 0, f"{function.__name__}: {result}"


def main(path):
    lmdb = ctypes.CDLL("liblmdb.so.0")
    env, txn = ctypes.c_void_p(), ctypes.c_void_p()
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
    call(lmdb.mdb_env_create, ctypes.byref(env))
    call(lmdb.mdb_env_open, env, path.encode(), NOSUBDIR, 0o600)
    call(lmdb.mdb_txn_begin, env, None, 0, ctypes.byref(txn))
    print("ready", flush=True)
    signal.sigwait([signal.SIGTERM])
    lmdb.mdb_txn_abort(txn)
    lmdb.mdb_env_close(env)


if __name__ == "__main__":
    main(sys.argv[1])
