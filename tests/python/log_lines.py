"""What the dashboard tells of what was logged."""

import json
import time
import urllib.request


def lines(client, query, is_enough=bool):
    """The lines that a query of the page Logs finds, once they are enough; or after half a minute those that there are."""
    end = time.monotonic() + 30
    while True:
        with urllib.request.urlopen(f"{client.dashboard_link.rstrip('/')}/api/logs?{query}") as answer:
            told = json.load(answer)["lines"]
        if is_enough(told) or time.monotonic() > end:
            return told
        time.sleep(0.1)


def count(told):
    """How often they were logged; one that is repeated is told once."""
    return sum(line["count"] for line in told)
