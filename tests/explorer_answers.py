"""A table of answers for tests of the explorer's server: it misbehaves when it is asked to."""

import os
import signal
import sys
import time

from layouts.errors import LayoutError


def view(body, functions):
    match body:
        case {"do": "sleep", "seconds": seconds}:
            time.sleep(seconds)
        case {"do": "die"}:
            os.kill(os.getpid(), signal.SIGKILL)
        case {"do": "hold"}:  # one long call, which lets no other thread run
            return {"digits": len(str(7 ** (10**8)))}
        case {"do": "eat"}:
            return {"size": len(bytearray(10**12))}
        case {"do": "fill"}:
            return {"text": "x" * 2 * 10**7}
        case {"do": "descend"}:
            return view(body, functions)
        case {"do": "mistake"}:
            raise LayoutError("the thing", "this", "that", "the other")
        case {"do": "fault"}:
            raise KeyError("secret")
        case {"do": "leave"}:
            raise SystemExit(3)
        case {"do": "print"}:
            print("noise")
            return {"read": sys.stdin.read()}
    return {"pid": os.getpid(), "body": body, "functions": list(functions)}


def gallery(body, functions):
    return {"rows": [{"source": {"kind": "gallery", "name": "one"}}]}


ANSWERS = {"gallery": gallery, "view": view, "measure": view}
