"""A browser without a window, driven by the DevTools protocol."""

import base64
import contextlib
import itertools
import json
import os
import re
import subprocess
import threading

from websockets.sync.client import connect

from service import PATIENCE, until

# Debian's, which `make test-operations` installs.
CHROMIUM = "chromium"

PHONE = {"width": 390, "height": 844, "deviceScaleFactor": 2, "mobile": True}
DESK = {"width": 1000, "height": 760, "deviceScaleFactor": 2, "mobile": False}


class Page:
    """A tab."""

    def __init__(self, socket, target):
        self.socket, self.numbers = socket, itertools.count(1)
        self.session, self.troubles, self.messages = None, [], []
        self.session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ["Page", "Runtime", "Log", "Network"]:
            self.call(f"{domain}.enable")

    def call(self, method, **params):
        number = next(self.numbers)
        message = {"id": number, "method": method, "params": params}
        self.socket.send(json.dumps(message | ({"sessionId": self.session} if self.session else {})))
        while True:
            message = json.loads(self.socket.recv(timeout=PATIENCE))
            if message.get("id") == number:
                assert "error" not in message, (method, message["error"])
                return message["result"]
            self.hear(message)

    def hear(self, event):
        match event:
            case {"method": "Runtime.exceptionThrown", "params": {"exceptionDetails": details}}:
                self.troubles.append(json.dumps(details))
            # What a server refuses is logged as well; a test looks at what the page says of it.
            case {"method": "Log.entryAdded", "params": {"entry": entry}}:
                if entry["source"] != "network" and entry["level"] != "verbose":
                    self.troubles.append(f"{entry['source']}: {entry['text']}")
            case {"method": "Network.webSocketFrameSent", "params": {"response": frame}}:
                self.messages.append(frame)

    def evaluate(self, expression):
        """The value of a JavaScript expression; promises are awaited."""
        result = self.call(
            "Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True, userGesture=True
        )
        assert "exceptionDetails" not in result, (expression, result["exceptionDetails"])
        return result["result"].get("value")

    def until(self, expression):
        until(lambda: self.evaluate(f"Boolean({expression})"))

    def show(self, url, language="ru", screen=DESK):
        self.call("Emulation.setDeviceMetricsOverride", **screen)
        self.call("Emulation.setTouchEmulationEnabled", enabled=screen["mobile"])
        agent = self.evaluate("navigator.userAgent")
        self.call("Emulation.setUserAgentOverride", userAgent=agent, acceptLanguage=language)
        self.call("Page.navigate", url=url)
        self.until("document.readyState === 'complete' && location.href !== 'about:blank'")

    def click(self, selector):
        """Presses what is seen in the middle of an element."""
        x, y = self.evaluate(
            f"(() => {{ const r = document.querySelector({json.dumps(selector)}).getBoundingClientRect();"
            " return [r.x + r.width / 2, r.y + r.height / 2]; })()"
        )
        for kind in ["mousePressed", "mouseReleased"]:
            self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)

    def drop(self, path):
        """Drops a file on the page."""
        data = {"items": [], "files": [str(path)], "dragOperationsMask": 1}
        for kind in ["dragEnter", "dragOver", "drop"]:
            self.call("Input.dispatchDragEvent", type=kind, x=200, y=300, data=data)

    def choose(self, path):
        """Gives a file to the page's choice of files."""
        input = self.call("Runtime.evaluate", expression="document.getElementById('file')")["result"]
        self.call("DOM.setFileInputFiles", files=[str(path)], objectId=input["objectId"])

    def text(self, selector="#said"):
        """What is written in an element, without the times above words."""
        return self.evaluate(
            f"[...document.querySelectorAll({json.dumps(selector + ' .word')})].map(w => w.firstChild.data).join(' ')"
        )

    def notice(self):
        return self.evaluate("document.getElementById('notice').textContent")

    def picture(self, path):
        # Nothing may be on the way while it is taken.
        self.evaluate("Promise.allSettled(document.getAnimations().map(animation => animation.finished))")
        path.write_bytes(base64.b64decode(self.call("Page.captureScreenshot", format="png")["data"]))


@contextlib.contextmanager
def browsing(folder, *flags):
    """A page of a browser of its own; at the end nothing may have gone wrong in it."""
    command = [
        CHROMIUM, "--headless=new", "--remote-debugging-port=0", f"--user-data-dir={folder / 'profile'}",
        "--no-sandbox", "--no-proxy-server", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run", "--hide-scrollbars",
        "--autoplay-policy=no-user-gesture-required", *flags, "about:blank",
    ]  # fmt: skip
    # It leaves folders behind.
    environment = os.environ | {"TMPDIR": str(folder)}
    process = subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, env=environment
    )
    lines = []
    reading = threading.Thread(target=lambda: lines.extend(process.stderr), daemon=True)

    def address():
        assert process.poll() is None, process.stderr.read()
        found = re.search(r"^DevTools listening on (\S+)", process.stderr.readline())
        return found and found[1]

    try:
        while not (found := address()):
            pass
        reading.start()
        with connect(found, max_size=None, open_timeout=PATIENCE, proxy=None) as socket:
            socket.send(json.dumps({"id": 0, "method": "Target.getTargets"}))
            while "result" not in (answer := json.loads(socket.recv(timeout=PATIENCE))):
                pass
            (target,) = [t["targetId"] for t in answer["result"]["targetInfos"] if t["type"] == "page"]
            page = Page(socket, target)
            yield page
            page.evaluate("0")
            assert page.troubles == []
    finally:
        process.terminate()
        process.wait(PATIENCE)


def microphone(recording, loop=False):
    """The flags of a browser whose microphone plays a recording."""
    return [
        "--use-fake-device-for-media-stream",
        "--use-fake-ui-for-media-stream",
        f"--use-file-for-fake-audio-capture={recording}{'' if loop else '%noloop'}",
    ]
