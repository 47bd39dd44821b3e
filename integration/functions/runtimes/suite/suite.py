import os
import sys
import threading

if "CRASH" in os.environ:
    raise RuntimeError("crashed while loading")


class RangeError(Exception):
    pass


def handler(event, context):
    do = event.get("do")
    if do == "fail":
        raise RangeError(event["text"])
    if do == "exit":
        sys.exit(7)
    if do == "remaining":
        return context.get_remaining_time_in_millis()
    if do == "context":
        return [context.client_context.custom["word"], os.environ.get("_X_AMZN_TRACE_ID", "")]
    if do == "log":
        threads = [threading.Thread(target=write, args=(who, event["lines"])) for who in "abc"]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    return event


def write(who, lines):
    for i in range(lines):
        print(f"{who} {'x' * 200} {i}")
