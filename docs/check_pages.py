#!/usr/bin/env python3
"""Opens every built page in headless Chromium, as wide as a phone and as a laptop, and reports what is broken.

    python docs/check_pages.py docs/_build/html

Needs the extra ``docs-check`` and Chromium, from the system or from ``playwright install chromium``. It reports

* elements wider than the page, unless they scroll in a box of their own; titles that are cut; code of ours that is
  wider than its column at 1440 pixels; figures of examples that are too wide to read on a phone;
* links, anchors and pictures that do not exist; errors in the console; requests to other machines;
* words of ``SEARCHES`` for which the pages' own search does not list the page that answers.

Exit status: 0 if all is well, 1 if not, 77 if no browser starts.
"""

import argparse
import asyncio
import functools
import shutil
import sys
import threading
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urldefrag, urlsplit

PHONE = {"width": 390, "height": 844}
LAPTOP = {"width": 1440, "height": 900}
N_TABS = 4
NO_BROWSER = 77  # exit status of a check that could not run
# As root, Chromium does not start with its sandbox. No host but this one is found.
BROWSER_ARGUMENTS = ["--no-sandbox", "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"]
SEARCHES = {  # what people look for: pages that answer, of which the search must list one
    "forecasting": ["user_guide/forecasting"],
    "imbalanced": ["user_guide/imbalance"],
    "categorical": ["user_guide/categories"],
    "progress": ["user_guide/training_curves", "user_guide/training"],
    "class weight": ["user_guide/imbalance"],
    "confidence interval": ["user_guide/forecasting"],
    "deploy": ["user_guide/streams"],
    "pandas": ["user_guide/tables"],
    "pickle": ["user_guide/saving"],
    "SHAP values": ["user_guide/explaining"],
    "GPU": ["install", "user_guide/speed"],
    "missing values": ["user_guide/imbalance", "user_guide/sequences"],
}

FAULTS_OF_PAGE = """(width) => {
    const faults = [], root = document.documentElement;
    const name = (e) => {
        const text = e.innerText ? ` "${e.innerText.trim().slice(0, 40)}"` : "";
        return (e.tagName.toLowerCase() + [...e.classList].map((c) => "." + c).join("") + text).replace(/\\s+/g, " ");
    };
    const title = document.querySelector("h1");
    // The theme lets the whole article scroll sideways: a box that holds the title too is no box of its own.
    const isInScrollingBox = (e) => {
        for (let box = e.parentElement; box && !box.contains(title) && box !== document.body; box = box.parentElement)
            if (["auto", "scroll"].includes(getComputedStyle(box).overflowX))
                return box.getBoundingClientRect().right <= width + 1;
        return false;
    };
    if (root.clientWidth !== width) faults.push(`the page is ${root.clientWidth} px wide instead of ${width}`);
    if (root.scrollWidth > width) faults.push(`the page scrolls sideways: ${root.scrollWidth} px in ${width}`);
    const wide = [...document.body.querySelectorAll("*")].filter((e) => {
        const box = e.getBoundingClientRect();
        return box.width && e.checkVisibility() && box.right > width + 1 && box.left < width && !isInScrollingBox(e);
    });
    for (const e of wide.filter((e) => !wide.includes(e.parentElement)))
        faults.push(`${name(e)} ends at ${Math.round(e.getBoundingClientRect().right)} px of ${width}`);
    for (const e of document.querySelectorAll("h1, h2, h3, h4, .sphx-glr-thumbnail-title, .bd-toc-nav a"))
        if (e.clientWidth && e.scrollWidth > e.clientWidth + 1) faults.push(`${name(e)} is cut`);
    if (width > 1000 && !location.pathname.includes("/_modules/"))
        for (const e of document.querySelectorAll("div[class*=highlight-py i] pre, .doctest pre"))
            if (e.scrollWidth > e.clientWidth + 1)
                faults.push(`code wider than its column by ${e.scrollWidth - e.clientWidth} px: ${name(e)}`);
    if (width < 500)
        for (const e of document.querySelectorAll("img.sphx-glr-single-img, img.sphx-glr-multi-img"))
            if (e.naturalWidth > 720)
                faults.push(`small text: ${e.naturalWidth / 100} inches of figure in ${e.clientWidth} px: ${e.src}`);
    for (const e of document.images)
        if (e.complete && !e.naturalWidth) faults.push(`no picture at ${e.getAttribute("src")}`);
    return faults;
}"""

# Lazily loaded pictures below the fold are loaded at once.
LINKS_AND_ANCHORS = """() => ({
    links: [...new Set([...document.querySelectorAll("a[href], link[href]")].map((e) => e.href))],
    anchors: [...document.querySelectorAll("[id], a[name]")].map((e) => e.id || e.name),
})"""
LOAD_ALL_PICTURES = """() => Promise.all([...document.images].map((e) => {
    e.loading = "eager";
    return e.complete ? null : new Promise((done) => { e.onload = e.onerror = done; });
}))"""


class QuietHandler(SimpleHTTPRequestHandler):
    """Serves the pages without a log, over connections that stay open."""

    protocol_version = "HTTP/1.1"

    def end_headers(self):
        """Let the browser keep scripts and styles."""
        self.send_header("Cache-Control", "max-age=3600")
        super().end_headers()

    def log_message(self, format, *args):
        """Print nothing."""


class Check:
    """One run over all pages; ``faults`` has a list for each page and width."""

    def __init__(self, folder, address):
        self.folder, self.address = folder, address
        pages = [path.relative_to(folder) for path in sorted(folder.rglob("*.html"))]
        self.pages = [page.as_posix() for page in pages if page.parts[0] not in ("_static", "_downloads")]
        self.faults, self.links, self.anchors = {}, {}, {}

    def report(self, page, fault, width=None):
        """Note a fault, once for each page."""
        where = page if width is None else f"{page} at {width} px"
        self.faults.setdefault(where, {})[fault] = None

    async def run(self, browser):
        """Open all pages, then search, then compare the links with the anchors."""
        context = await browser.new_context(viewport=PHONE, is_mobile=True, has_touch=True)
        pages = iter(self.pages)  # shared: each tab takes the next page
        await asyncio.gather(*[self.visit(await context.new_page(), pages) for _ in range(N_TABS)])
        await self.search(await context.new_page())
        self.compare_links()

    async def visit(self, tab, pages):
        """Open one page after the other in one tab."""
        current = ""
        tab.on("console", lambda line: line.type == "error" and self.report(current, f"console: {line.text}"))
        tab.on("pageerror", lambda error: self.report(current, f"error in a script: {error}"))
        tab.on("request", lambda request: self.check_request(current, request.url))
        tab.on("response", lambda answer: answer.ok or self.report(current, f"{answer.status} {answer.url}"))
        for current in pages:
            await tab.goto(self.address + current, wait_until="load")
            await tab.evaluate(LOAD_ALL_PICTURES)
            for viewport in (PHONE, LAPTOP):
                await tab.set_viewport_size(viewport)
                for fault in await tab.evaluate(FAULTS_OF_PAGE, viewport["width"]):
                    self.report(current, fault, viewport["width"])
            await tab.set_viewport_size(PHONE)
            found = await tab.evaluate(LINKS_AND_ANCHORS)
            self.links[current], self.anchors[current] = found["links"], set(found["anchors"])

    def check_request(self, page, url):
        """Report a request that leaves the machine; the browser is told not to find any other host."""
        if not url.startswith((self.address, "data:", "blob:")):
            self.report(page, f"asks another machine: {url}")

    async def search(self, tab):
        """Search for each of ``SEARCHES``, as a reader would."""
        for words, answers in SEARCHES.items():
            await tab.goto(f"{self.address}search.html?q={words}")
            # Sphinx writes the number of pages below the title when it has looked at all of them.
            await tab.wait_for_function(
                "document.querySelector('#search-results > p')?.innerText.match(/\\d|one page|did not/)"
            )
            await tab.wait_for_timeout(500)
            hits = await tab.evaluate("[...document.querySelectorAll('#search-results li > a')].map((e) => e.href)")
            found = [urldefrag(hit).url.removeprefix(self.address).removesuffix(".html").split("?")[0] for hit in hits]
            print(f"search {words!r}: {', '.join(dict.fromkeys(found[:8])) or 'nothing'}")
            if not set(answers) & set(found):
                self.report("search.html", f"{words!r} does not find {' or '.join(answers)}")

    def compare_links(self):
        """Report links to files and anchors that do not exist."""
        for page, links in self.links.items():
            for link in links:
                if not link.startswith(self.address):
                    continue
                target, anchor = urldefrag(link)
                path = unquote(urlsplit(target).path).lstrip("/") or "index.html"
                if not (self.folder / path).is_file():
                    self.report(page, f"links to {path}, which does not exist")
                elif anchor and path in self.anchors and unquote(anchor) not in self.anchors[path]:
                    self.report(page, f"links to #{unquote(anchor)} of {path}, which does not exist")


async def open_browser_and_check(playwright_api, folder, address, browser_path):
    """Return the finished check, or None if no browser starts."""
    async with playwright_api() as playwright:
        try:
            browser = await playwright.chromium.launch(executable_path=browser_path, args=BROWSER_ARGUMENTS)
        except Exception as error:
            print(f"No browser starts: {str(error).splitlines()[0]}", file=sys.stderr)
            return None
        check = Check(folder, address)
        await check.run(browser)
        await browser.close()
        return check


def main():
    """Check the pages in a folder."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="the built pages, such as docs/_build/html")
    parser.add_argument("--browser", help="path of Chromium; default: the system's, or else Playwright's own")
    arguments = parser.parse_args()
    folder = arguments.folder.resolve()
    if not (folder / "index.html").is_file():
        parser.error(f"folder: {folder} has no index.html. Build the documentation first.")
    try:
        from playwright.async_api import async_playwright
    except ModuleNotFoundError:
        print("Playwright is missing: pip install playwright", file=sys.stderr)
        return NO_BROWSER
    browser_path = arguments.browser or shutil.which("google-chrome") or shutil.which("chromium")
    server = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(QuietHandler, directory=str(folder)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    address = f"http://127.0.0.1:{server.server_port}/"
    check = asyncio.run(open_browser_and_check(async_playwright, folder, address, browser_path))
    if check is None:
        return NO_BROWSER
    for where, faults in sorted(check.faults.items()):
        print(f"{where}:", *faults, sep="\n    ")
    n_faults = sum(map(len, check.faults.values()))
    print(f"{len(check.pages)} pages at {PHONE['width']} and {LAPTOP['width']} px: {n_faults or 'no'} faults")
    return 1 if n_faults else 0


if __name__ == "__main__":
    sys.exit(main())
