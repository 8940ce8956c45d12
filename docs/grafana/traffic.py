"""Two nodes of the demo with a cache on one Redis, people who use them for five minutes, and a Prometheus that watches.

    traffic.py [minutes]        then writes session.png, by picture.py

Needs requirements.txt, target/debug/session-demo, redis-server and prometheus: CONTRIBUTING.md has the commands. All
of it is private, on free ports, and ends with this program. Redis hangs for four seconds, and later is killed and away
for six. Sessions expire after 40 seconds without a request, so that the picture shows that too.
"""

import contextlib
import json
import math
import pathlib
import random
import re
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time

import picture
import requests

DEMO = pathlib.Path(__file__).parents[2] / "target/debug/session-demo"
PEOPLE = 16
SCRAPE = 2  # seconds
IDLE = 40  # seconds


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


class Processes(contextlib.ExitStack):
    """Children that end with this program, with their output in files of `folder`."""

    def __init__(self, folder):
        super().__init__()
        self.folder = folder

    def start(self, name, *command):
        log = self.enter_context((self.folder / f"{name}.log").open("ab"))
        child = subprocess.Popen(command, cwd=self.folder, stdout=log, stderr=subprocess.STDOUT)
        self.callback(lambda: (child.kill(), child.wait()))
        return child


def wait_for(what, ready):
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError):
            if found := ready():
                return found
        time.sleep(0.1)
    raise SystemExit(f"{what} did not start")


def start_redis(processes, port):
    # Its sessions are there again after the outage.
    settings = ["--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "yes", "--appendfsync", "no"]
    redis = processes.start("redis", "redis-server", *settings)
    wait_for("redis", lambda: socket.create_connection(("127.0.0.1", port)).close() or True)
    return redis


def start_node(processes, name, redis):
    store = ["--store", f"redis://127.0.0.1:{redis}", "--cache", "5s", "--mode", "hybrid", "--keys", "keys.json"]
    limits = ["--insecure-cookies", "--idle", f"{IDLE}s", "--listen", "127.0.0.1:0"]
    processes.start(name, DEMO, *store, *limits)
    log = processes.folder / f"{name}.log"
    return wait_for(name, lambda: re.search(r"listening on http://(\S+)", log.read_text()))[1]


def start_prometheus(processes, nodes):
    scraped = [{"targets": [address], "labels": {"instance": name}} for name, address in nodes.items()]
    every = {"scrape_interval": f"{SCRAPE}s", "scrape_timeout": f"{SCRAPE}s"}
    job = {"job_name": "session-demo", "static_configs": scraped}
    # JSON is YAML.
    (processes.folder / "prometheus.json").write_text(json.dumps({"global": every, "scrape_configs": [job]}))
    address = f"127.0.0.1:{free_port()}"
    files = ["--config.file=prometheus.json", "--storage.tsdb.path=prometheus"]
    processes.start("prometheus", "prometheus", *files, f"--web.listen-address={address}")
    wait_for("prometheus", lambda: requests.get(f"http://{address}/-/ready", timeout=1).ok)
    return f"http://{address}"


class Person:
    """A browser or an application, behind a load balancer that sends each request to any node."""

    def __init__(self, nodes, seed, began):
        self.dice, self.nodes, self.began = random.Random(seed), nodes, began
        self.browser = requests.Session()

    def ask(self, method, path, **more):
        """One request after some thought: now more of them, now fewer, as by day and by night."""
        hurry = 1 + 0.6 * math.sin((time.monotonic() - self.began) / 25)
        time.sleep(self.dice.expovariate(3 * hurry))
        # Cookies of a host are those of all its ports.
        url = f"http://{self.dice.choice(self.nodes)}/api{path}"
        return self.browser.request(method, url, timeout=20, **more)

    def visit(self):
        """Once through the site, in one of the ways in which people use it."""
        self.browser.cookies.clear()
        ways = [self.look_around, self.shop, self.use_tabs, self.use_the_app, self.attack]
        self.dice.choices(ways, weights=[3, 6, 2, 2, 1])[0]()

    def log_in(self):
        if self.dice.random() < 0.1:
            self.ask("POST", "/token", json={"username": "alice", "password": "wrong-horse"})
        name = self.dice.choice(["alice", "bob", "carol"])
        return self.ask("POST", "/login", json={"username": name, "password": "correct-horse"})

    def look_around(self):
        for _ in range(self.dice.randint(2, 6)):
            self.ask("GET", "/me")

    def shop(self):
        self.ask("GET", "/me")
        self.ask("PUT", "/data/cart", json=["tea"])
        for _ in range(self.dice.randint(1, 4)):
            self.ask("GET", "/data/cart")
        if self.dice.random() < 0.3:
            return
        self.log_in()
        for _ in range(self.dice.randint(3, 8)):
            self.ask("GET", "/data/cart")
            self.ask(*self.dice.choice([("POST", "/counter/clicks"), ("GET", "/data"), ("GET", "/devices")]))
            if self.ask("GET", "/me").json()["user"] is None:
                # Another device has ended this session.
                return
        self.leave()

    def leave(self):
        cookies = self.browser.cookies.copy()
        end = self.dice.choices(["logout", "revoke-others", "away"], [5, 1, 3])[0]
        if end == "logout":
            self.ask("POST", "/logout")
            if self.dice.random() < 0.3:
                # Another tab that does not know yet.
                self.browser.cookies = cookies
                self.ask("GET", "/me")
        elif end == "revoke-others":
            self.ask("POST", "/devices/revoke-others")
            self.ask("POST", "/logout")
        elif self.dice.random() < 0.3:
            # Comes back when the session is over.
            time.sleep(IDLE + 2)
            self.ask("GET", "/me")

    def use_tabs(self):
        """Several tabs that write at once."""
        self.log_in()
        for _ in range(6):
            tabs = [threading.Thread(target=self.try_to, args=[self.count]) for _ in range(2)]
            for tab in tabs:
                tab.start()
            for tab in tabs:
                tab.join()
        self.ask("POST", "/logout")

    def count(self):
        self.ask("POST", "/counter/clicks?delay_ms=300")

    def use_the_app(self):
        """Tokens instead of cookies. Of one in three, somebody has a copy."""
        name = self.dice.choice(["alice", "bob", "carol"])
        pair = self.ask("POST", "/token", json={"username": name, "password": "correct-horse"}).json()
        first = pair["refresh_token"]
        for _ in range(3):
            for _ in range(3):
                self.ask("GET", "/me", headers={"Authorization": f"Bearer {pair['access_token']}"})
            pair = self.ask("POST", "/token/refresh", json={"refresh_token": pair["refresh_token"]}).json()
        if self.dice.random() < 0.3:
            self.ask("POST", "/token/refresh", json={"refresh_token": first})
        self.ask("POST", "/token/revoke", json={"token": pair["refresh_token"]})

    def attack(self):
        self.ask("POST", "/logout", headers={"Origin": "https://evil.example"})
        self.ask("GET", "/me", headers={"Authorization": "Bearer e30.e30.e30"})
        self.ask("GET", "/me", headers={"Cookie": "id-session-demo=guessed"})

    def try_to(self, act):
        """A store that is away is an answer with 503, of which people think what they like."""
        with contextlib.suppress(requests.RequestException, KeyError):
            act()

    def live(self, end):
        while time.monotonic() < end:
            self.try_to(self.visit)


def main(minutes):
    # With its children.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended"))
    with tempfile.TemporaryDirectory() as folder, Processes(pathlib.Path(folder)) as processes:
        port = free_port()
        redis = start_redis(processes, port)
        nodes = {name: start_node(processes, name, port) for name in ("node-1", "node-2")}
        prometheus = start_prometheus(processes, nodes)
        start, began, seconds = int(time.time()), time.monotonic(), 60 * minutes
        for seed in range(PEOPLE):
            person = Person(list(nodes.values()), seed, began)
            threading.Thread(target=person.live, args=[began + seconds], daemon=True).start()
        time.sleep(seconds * 0.4)
        redis.send_signal(signal.SIGSTOP)
        time.sleep(4)
        redis.send_signal(signal.SIGCONT)
        time.sleep(seconds * 0.3)
        redis.kill()
        redis.wait()
        time.sleep(6)
        start_redis(processes, port)
        time.sleep(began + seconds - time.monotonic())
        # The last scrape.
        time.sleep(SCRAPE)
        # Without the first seconds, of which there is no rate yet.
        return picture.draw(prometheus, start + 10, start + seconds)


if __name__ == "__main__":
    sys.exit("\n".join(main(int(sys.argv[1]) if len(sys.argv) > 1 else 5)) or None)
