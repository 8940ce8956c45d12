"""Draws the dashboard: every panel of session.json, from what a Prometheus answers to its queries.

    picture.py http://127.0.0.1:9090 [minutes]        writes session.png beside this file, of the last five minutes

It is not Grafana that draws, so colours and fonts are others. Queries, titles, units, legends, stacking and places are
those of session.json; variables are filled in as Grafana does. Fails if a query has no answer. Needs requirements.txt;
traffic.py makes something to look at.
"""

import itertools
import json
import math
import pathlib
import re
import sys
import time

import matplotlib
import numpy
import requests
from PIL import Image

matplotlib.use("agg")
from matplotlib import dates, pyplot, ticker
from matplotlib.patches import Rectangle

HERE = pathlib.Path(__file__).parent
COLUMNS, WIDTH, ROW, HEAD = 24, 10.0, 0.27, 0.5  # the grid of Grafana; inches
DPI, POINT = 125, 1 / 72
COLOURS = [matplotlib.colormaps["tab20"](at) for at in (*range(0, 20, 2), *range(1, 20, 2))]
GREY, SMALL = "#b0b5bb", 6.5


def seconds(duration):
    """How long `1m30s` is."""
    units = {"ms": 0.001, "s": 1, "m": 60, "h": 3600}
    return math.ceil(sum(int(number) * units[unit] for number, unit in re.findall(r"(\d+)([a-z]+)", duration)))


class Prometheus:
    """A server, and the span of time that is asked for."""

    def __init__(self, url, start, end):
        self.api, self.start, self.end = url.rstrip("/") + "/api/v1/", start, end
        # The longest: what the data source would have to be told.
        self.scrape = max(seconds(it["scrapeInterval"]) for it in self.get("targets", state="active")["activeTargets"])

    def get(self, path, **parameters):
        answer = requests.get(self.api + path, parameters, timeout=30).json()
        if answer["status"] != "success":
            raise SystemExit(f"{path} {parameters}: {answer['error']}")
        return answer["data"]

    def variables(self, dashboard, points):
        """What `$job` and its like stand for in a panel that is `points` wide."""
        values = {}
        for variable in dashboard["templating"]["list"]:
            if variable["type"] == "query":
                metric, label = re.fullmatch(r"label_values\((\w+), (\w+)\)", variable["definition"]).groups()
                if not self.get(f"label/{label}/values", **{"match[]": metric}):
                    raise SystemExit(f"{variable['definition']} has no answer")
                assert variable["current"]["value"] == "$__all"
                values[variable["name"]] = variable["allValue"]
        step = max(self.scrape, math.ceil((self.end - self.start) / points))
        values["__rate_interval"] = f"{max(step + self.scrape, 4 * self.scrape)}s"
        return values, step

    def series(self, target, values, step):
        """Legend and values of each series, with NaN where there is none."""
        query = re.sub(r"\$(\w+)", lambda name: values[name[1]], target["expr"])
        times = numpy.arange(self.start, self.end + 1, step)
        answer = self.get("query_range", query=query, start=self.start, end=self.end, step=step)
        for series in answer["result"]:
            found = {float(at): float(value) for at, value in series["values"]}
            legend = re.sub(r"{{(\w+)}}", lambda label: series["metric"][label[1]], target["legendFormat"])
            yield legend, times, numpy.array([found.get(at, math.nan) for at in times])


def unit(name):
    """How the values of an axis are written."""
    if name == "s":
        return ticker.EngFormatter(unit="s")
    if name == "percentunit":
        return ticker.FuncFormatter(lambda value, _: f"{100 * value:g}%")
    behind = {"short": "", "ops": " ops/s", "reqps": " req/s"}[name]
    return ticker.FuncFormatter(lambda value, _: f"{value:g}{behind}")


def place(height, grid):
    """The rectangle of a panel, as inches from the left and from the bottom, width and height."""
    column, gap = WIDTH / COLUMNS, 0.04
    top = HEAD + grid["y"] * ROW
    rest = (grid["w"] * column - 2 * gap, grid["h"] * ROW - 2 * gap)
    return grid["x"] * column + gap, height - top - grid["h"] * ROW + gap, *rest


def legend(figure, names, left, bottom, width):
    """A list that is wrapped, above `bottom`. Returns how high it is."""
    inches = {"transform": figure.dpi_scale_trans}
    lines, at = [[]], 0.0
    for name, colour in names:
        text = figure.text(0, 0, name, size=SMALL, **inches)
        needed = text.get_window_extent().width / figure.dpi + 0.24
        if at + needed > width and lines[-1]:
            lines.append([])
            at = 0.0
        lines[-1].append((text, colour, left + at))
        at += needed
    high = SMALL * POINT * 1.35
    for number, line in enumerate(reversed(lines)):
        for text, colour, x in line:
            text.set_position((x + 0.13, bottom + number * high + 0.02))
            key = Rectangle((x, bottom + number * high + 0.05), 0.1, 0.025, color=colour, lw=0, **inches)
            figure.add_artist(key)
    return len(lines) * high


def is_shown(points, overrides, part):
    """Whether the overrides leave a series in the picture (`viz`), or in the `legend`."""
    for override in overrides:
        # The only kind there is.
        assert override["matcher"] == {"id": "byValue", "options": {"op": "gte", "reducer": "allIsZero", "value": 0}}
        [hide] = override["properties"]
        assert hide["id"] == "custom.hideFrom"
        if hide["value"][part] and not numpy.nan_to_num(points).any():
            return False
    return True


def draw_panel(figure, height, panel, prometheus, dashboard):
    """Returns the queries that have no answer."""
    left, bottom, width, high = place(height, panel["gridPos"])
    inches = {"transform": figure.dpi_scale_trans}
    frame = Rectangle((left, bottom), width, high, fc="white", ec="#d0d4d9", lw=0.6, zorder=-1, **inches)
    figure.add_artist(frame)
    figure.text(left + 0.08, bottom + high - 0.17, panel["title"], size=8, weight="bold", **inches)

    values, step = prometheus.variables(dashboard, points=round(width * 100))
    found, empty = [], []
    for target in panel["targets"]:
        series = list(prometheus.series(target, values, step))
        if not any(numpy.isfinite(points).any() for _, _, points in series):
            empty.append(f"{panel['title']}: {target['expr']}")
        found += series
    overrides, colours = panel["fieldConfig"]["overrides"], itertools.cycle(COLOURS)
    listed = {name: next(colours) for name, _, points in found if is_shown(points, overrides, "legend")}
    below = legend(figure, listed.items(), left + 0.08, bottom + 0.05, width - 0.12)

    box = numpy.array([left + 0.6, bottom + below + 0.24, width - 0.7, high - below - 0.5])
    axes = figure.add_axes(box / numpy.tile(figure.get_size_inches(), 2))
    drawn = [series for series in found if is_shown(series[2], overrides, "viz")]
    lines = [(times, points, listed.get(name, GREY)) for name, times, points in drawn]
    plot(axes, lines, panel["fieldConfig"]["defaults"])
    axes.set_xlim(*numpy.array([prometheus.start, prometheus.end]).astype("datetime64[s]"))
    return empty


def plot(axes, series, defaults):
    """The lines of a panel, and its axes."""
    custom, floor, highest = defaults["custom"], 0.0, 0.0
    for times, points, colour in series:
        times, base = times.astype("datetime64[s]"), floor
        if custom["stacking"]["mode"] == "normal":
            points = floor = base + numpy.nan_to_num(points)
        highest = max(highest, numpy.nan_to_num(points).max())
        axes.plot(times, points, color=colour, lw=0.9)
        if custom["fillOpacity"]:
            axes.fill_between(times, base, points, color=colour, alpha=custom["fillOpacity"] / 100, lw=0)
    if not series:
        axes.text(0.5, 0.5, "No data", ha="center", va="center", transform=axes.transAxes, size=8)
    axes.set_ylim(defaults["min"], defaults.get("max", 1.05 * highest or 1.0))
    axes.xaxis.set_major_locator(dates.AutoDateLocator(minticks=2, maxticks=6))
    axes.xaxis.set_major_formatter(dates.DateFormatter("%H:%M"))
    axes.yaxis.set_major_locator(ticker.MaxNLocator(4))
    axes.yaxis.set_major_formatter(unit(defaults["unit"]))
    axes.tick_params(labelsize=SMALL, length=0, colors="#404750")
    axes.grid(color="#e8eaed", lw=0.5)
    axes.set_axisbelow(True)
    axes.spines[:].set_visible(False)


def draw(url, start, end):
    """Writes session.png, and returns the queries that have no answer."""
    dashboard = json.loads((HERE / "session.json").read_text())
    prometheus = Prometheus(url, start, end)
    height = HEAD + ROW * max(panel["gridPos"]["y"] + panel["gridPos"]["h"] for panel in dashboard["panels"]) + 0.04
    figure = pyplot.figure(figsize=(WIDTH, height), dpi=DPI, facecolor="#f4f5f5")
    title = {"transform": figure.dpi_scale_trans, "va": "center"}
    figure.text(0.08, height - HEAD / 2, dashboard["title"], size=13, weight="bold", **title)
    note = "drawn by docs/grafana/picture.py, not by Grafana, from Prometheus' answers to the queries of session.json"
    figure.text(WIDTH - 0.08, height - HEAD / 2, note, size=SMALL + 0.5, color="#404750", ha="right", **title)
    empty = []
    for panel in dashboard["panels"]:
        if panel["type"] == "row":
            left, bottom, _, high = place(height, panel["gridPos"])
            figure.text(left + 0.04, bottom + high / 2, panel["title"], size=9.5, weight="bold", **title)
        else:
            empty += draw_panel(figure, height, panel, prometheus, dashboard)
    path = HERE / "session.png"
    figure.savefig(path)
    Image.open(path).convert("RGB").quantize(256, dither=Image.Dither.NONE).save(path, optimize=True)
    return empty


if __name__ == "__main__":
    now = int(time.time())
    minutes = int(sys.argv[2]) if len(sys.argv) > 2 else 5
    sys.exit("\n".join(draw(sys.argv[1], now - 60 * minutes, now)) or None)
