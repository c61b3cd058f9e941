"""suite.py HOST PORT [--only PREFIX]: STOMP cases against a running broker.

Prints one line per case, `PASS name` or `FAIL name: why`, and closes with `N passed, M failed`.
The cases state what ActiveMQ Classic 6.3.1 does; where that differs from the STOMP specification a comment
at the case says so. Text that only a JVM would say (stack traces) is not asserted.
"""

import argparse
import logging
import os
import sys
import time

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


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("host")
    parser.add_argument("port", type=int)
    parser.add_argument("--only", default="", help="run only the cases whose name starts with this")
    parser.add_argument("--times", action="store_true", help="print how long each case took")
    options = parser.parse_args()
    logging.disable(logging.CRITICAL)

    passed = failed = 0
    for name, run in CASES:
        if not name.startswith(options.only):
            continue
        broker = Broker(options.host, options.port, name)
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
        if why is None:
            passed += 1
            line = f"PASS {name}"
        else:
            failed += 1
            line = f"FAIL {name}: {' '.join(why.split())}"
        if options.times:
            line += f"  [{time.monotonic() - begun:.1f}s]"
        print(line, flush=True)
    print(f"{passed} passed, {failed} failed")
    # Not sys.exit: a reader thread of a half-dead connection must not hold the process.
    sys.stdout.flush()
    os._exit(1 if failed or not passed else 0)


if __name__ == "__main__":
    main()
