"""suite.py HOST PORT [--only PREFIX] [--skip PREFIX]... [--jobs N] [--tls CA CERTIFICATE KEY]: STOMP cases against a running broker.

Prints one line per case, `PASS name` or `FAIL name: why`, and closes with `N passed, M failed`.
The cases state what ActiveMQ Classic 6.3.1 does; where that differs from the STOMP specification a comment
at the case says so. Text that only a JVM would say (stack traces) is not asserted.
"""

import argparse
import logging
import os
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import secure
from harness import CASES, Broker, Failure
import cases_connect  # noqa: F401 - importing a module registers its cases
import cases_message  # noqa: F401
import cases_ack  # noqa: F401
import cases_transaction  # noqa: F401
import cases_subscribe  # noqa: F401
import cases_browser  # noqa: F401
import cases_durable  # noqa: F401
import cases_error  # noqa: F401
import cases_load  # noqa: F401
import cases_secured


def attempt(host, port, name, run):
    """Runs one case. Returns its name, why it failed or None, and how many seconds it took."""
    broker = Broker(host, port, name)
    begun = time.monotonic()
    why = None
    try:
        run(broker)
    except Failure as failure:
        why = str(failure)
    except Exception as error:  # a client library error is a failed case, not the end of the run
        why = f"{type(error).__name__}: {error}"
    finally:
        broker.close()
    return name, why, time.monotonic() - begun


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("host")
    parser.add_argument("port", type=int)
    parser.add_argument("--only", default="", help="run only the cases whose name starts with this")
    parser.add_argument("--skip", action="append", default=[], help="leave these out; may be given more than once")
    parser.add_argument("--jobs", type=int, default=4, help="how many cases run at the same time")
    parser.add_argument("--times", action="store_true", help="print how long each case took")
    parser.add_argument("--secured", action="store_true", help="run the cases for a broker with users and rights")
    parser.add_argument("--tls", nargs=3, metavar=("CA", "CERTIFICATE", "KEY"), help="speak TLS, with these PEM files")
    options = parser.parse_args()
    secure.files = options.tls
    logging.disable(logging.CRITICAL)

    cases = [
        (name, run) for name, run in (cases_secured.SECURED if options.secured else CASES)
        if name.startswith(options.only) and not name.startswith(tuple(options.skip))
    ]
    passed = failed = 0
    # Cases share nothing and mostly wait. Their lines come in their order all the same.
    with ThreadPoolExecutor(max(options.jobs, 1)) as pool:
        for name, why, seconds in pool.map(lambda case: attempt(options.host, options.port, *case), cases):
            if why is None:
                passed += 1
                line = f"PASS {name}"
            else:
                failed += 1
                line = f"FAIL {name}: {' '.join(why.split())}"
            if options.times:
                line += f"  [{seconds:.1f}s]"
            print(line, flush=True)
    print(f"{passed} passed, {failed} failed")
    # Not sys.exit: a reader thread of a half-dead connection must not hold the process.
    sys.stdout.flush()
    os._exit(1 if failed or not passed else 0)


if __name__ == "__main__":
    main()
