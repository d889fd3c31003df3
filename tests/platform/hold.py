#!/usr/bin/env python3
"""Runs the platform for a test in another language: prints where everything is as a line of JSON, makes an invitation for
each line on stdin, and ends when stdin does.

usage: hold.py BAUTA
"""
import json
import sys

from platform_processes import ENGINES, Platform

with Platform(sys.argv[1]) as platform:
    print(json.dumps({
        "url": f"https://localhost:{platform.ports['linkage']}",
        "operator_key": platform.api_key("patchnet"),
        "engines": {engine: {"port": platform.ports[engine]["edge"], "key": platform.api_key(engine),
                             "authority": str(platform.directory(engine) / "tls/ca.pem")} for engine in ENGINES},
    }), flush=True)
    for _ in sys.stdin:
        print(json.loads(platform.run("--json", "invite").stdout)["url"], flush=True)
