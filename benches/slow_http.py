"""An HTTP server of one folder that answers each request after a while: `python benches/slow_http.py FOLDER [--delay-ms 20]`.

Prints its address. It knows GET and HEAD, ranges of bytes, and connections that stay open: what readers of cloud-optimised files
ask of an object store, at an object store's distance.
"""

import argparse
import asyncio
import os
import re


async def answer(reader, writer, folder, delay):
    try:
        while head := await reader.readuntil(b"\r\n\r\n"):
            lines = head.decode("latin-1").split("\r\n")
            method, target, _ = lines[0].split(" ", 2)
            fields = dict(line.lower().split(": ", 1) for line in lines[1:] if ": " in line)
            await asyncio.sleep(delay)
            path = os.path.join(folder, os.path.basename(target.split("?")[0]))
            if method not in ("GET", "HEAD") or not os.path.isfile(path):
                writer.write(b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n")
                await writer.drain()
                continue
            size = os.path.getsize(path)
            first, last, status = 0, size - 1, "200 OK"
            asked = re.fullmatch(r"bytes=(\d*)-(\d*)", fields.get("range", ""))
            if asked:
                status = "206 Partial Content"
                if asked[1]:
                    first, last = int(asked[1]), min(int(asked[2] or last), last)
                else:
                    first = max(0, size - int(asked[2]))
            told = [f"HTTP/1.1 {status}", f"content-length: {last - first + 1}", "accept-ranges: bytes", f'etag: "{size}"']
            told += [f"content-range: bytes {first}-{last}/{size}"] if asked else []
            writer.write(("\r\n".join(told) + "\r\n\r\n").encode())
            if method == "GET":
                with open(path, "rb") as file:
                    file.seek(first)
                    writer.write(file.read(last - first + 1))
            await writer.drain()
    except (asyncio.IncompleteReadError, ConnectionError):
        pass
    finally:
        writer.close()


async def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder")
    parser.add_argument("--delay-ms", type=float, default=20)
    arguments = parser.parse_args()

    def connected(reader, writer):
        return answer(reader, writer, arguments.folder, arguments.delay_ms / 1000)

    server = await asyncio.start_server(connected, "127.0.0.1", 0)
    print(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", flush=True)
    await server.serve_forever()


asyncio.run(main())
