"""Downloading a corpus from a local server with small stand-ins: resumed, verified, laid out for its source."""

import hashlib
import io
import json
import tarfile
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import ClassVar

import pytest

from shared.errors import ConfigError, DataFormatError, DataNotFoundError
from training.config.data import SourceConfig, SourceKind
from training.data import fetch
from training.data.__main__ import main
from training.data.catalogue import BY_HAND, DOWNLOADS, Download, RemoteFile
from training.data.fetch import get_corpus
from training.data.sources import read_source

TRAIN = b"so glad today\t17\ta\nso sad today\t25\tb\n" * 50
DEV = b"well then\t27\tc\n"


class Files(BaseHTTPRequestHandler):
    """Serves `content`, honours Range, and breaks off in the middle of the first answers when told to."""

    content: ClassVar[dict[str, bytes]] = {}
    breaks: ClassVar[list[int]] = []
    asked: ClassVar[list[tuple[str, str | None]]] = []
    honours_range: ClassVar[bool] = True

    def do_GET(self):
        body, asked = self.content.get(self.path), self.headers.get("Range")
        self.asked.append((self.path, asked))
        if body is None:
            self.send_error(404)
            return
        start = int(asked.removeprefix("bytes=").rstrip("-")) if asked and self.honours_range else 0
        if start >= len(body):
            self.send_error(416)
            return
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(body) - start))
        self.end_headers()
        rest = body[start:]
        self.wfile.write(rest[: self.breaks.pop(0)] if self.breaks else rest)

    def log_message(self, *_):
        pass


@pytest.fixture
def server():
    Files.content, Files.breaks, Files.asked, Files.honours_range = {}, [], [], True
    with ThreadingHTTPServer(("127.0.0.1", 0), Files) as http:
        thread = threading.Thread(target=http.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{http.server_port}"
        http.shutdown()
        thread.join()


def catalogue(base, **digests):
    Files.content |= {"/train.tsv": TRAIN, "/dev.tsv": DEV}
    files = tuple(RemoteFile(f"{name}.tsv", f"{base}/{name}.tsv", digests.get(name)) for name in ("train", "dev"))
    return {"goemotions": Download("CC BY 4.0", f"{base}/page", files)}


def sha256(content):
    return hashlib.sha256(content).hexdigest()


def test_a_corpus_is_read_from_the_folder_it_was_brought_into(server, tmp_path):
    said = []
    folder = get_corpus("goemotions", tmp_path / "go", accepted=True, catalogue=catalogue(server), tell=said.append)
    corpus = read_source(SourceConfig("goemotions", str(folder)))
    assert [len(corpus.splits[split]) for split in ("train", "dev")] == [100, 1]
    assert said[0] == "goemotions: CC BY 4.0"
    assert f"dev.tsv: {sha256(DEV)} (sha256 was not known before and is recorded now)" in said
    record = json.loads((folder / "download.json").read_text())
    assert record["accepted"] is True
    assert record["files"]["train.tsv"] == {
        "url": f"{server}/train.tsv",
        "sha256": sha256(TRAIN),
        "known_before": False,
    }


def test_what_is_there_and_right_is_not_brought_again_nor_is_the_licence_asked_again(server, tmp_path):
    shown = catalogue(server)
    get_corpus("goemotions", tmp_path / "go", accepted=True, catalogue=shown)
    Files.asked.clear()
    get_corpus("goemotions", tmp_path / "go", catalogue=shown)
    assert Files.asked == []
    (tmp_path / "go/dev.tsv").write_text("damaged")
    get_corpus("goemotions", tmp_path / "go", catalogue=shown)
    assert (tmp_path / "go/dev.tsv").read_bytes() == DEV
    assert Files.asked == [("/dev.tsv", None)]


@pytest.mark.parametrize("honours", [True, False])
def test_a_download_that_breaks_off_goes_on_where_it_stopped(server, tmp_path, honours):
    shown = catalogue(server, train=sha256(TRAIN))
    Files.breaks, Files.honours_range = [1000, 500], honours
    folder = get_corpus("goemotions", tmp_path / "go", accepted=True, catalogue=shown)
    assert (folder / "train.tsv").read_bytes() == TRAIN
    ranges = [asked for path, asked in Files.asked if path == "/train.tsv"]
    assert ranges == ([None, "bytes=1000-", "bytes=1500-"] if honours else [None, "bytes=1000-", "bytes=500-"])
    assert not list(folder.glob("*.part"))


def test_a_file_that_an_earlier_run_left_half_is_gone_on_with(server, tmp_path):
    shown = catalogue(server, train=sha256(TRAIN))
    (tmp_path / "train.tsv.part").write_bytes(TRAIN[:700])
    get_corpus("goemotions", tmp_path, accepted=True, catalogue=shown)
    assert Files.asked[0] == ("/train.tsv", "bytes=700-")
    assert (tmp_path / "train.tsv").read_bytes() == TRAIN


def test_another_digest_is_refused_and_nothing_kept(server, tmp_path):
    shown = catalogue(server, train=sha256(b"what it should be"))
    with pytest.raises(DataFormatError, match=rf"train.tsv has the sha256 {sha256(TRAIN)}, and .* is expected"):
        get_corpus("goemotions", tmp_path, accepted=True, catalogue=shown)
    assert [path.name for path in tmp_path.iterdir()] == []


def test_a_file_that_changed_since_the_first_download_is_refused(server, tmp_path):
    shown = catalogue(server)
    get_corpus("goemotions", tmp_path, accepted=True, catalogue=shown)
    (tmp_path / "dev.tsv").unlink()
    Files.content["/dev.tsv"] = b"changed\t1\tx\n"
    with pytest.raises(DataFormatError, match="dev.tsv has the sha256"):
        get_corpus("goemotions", tmp_path, catalogue=shown)


def test_an_archive_gives_its_members_alone(server, tmp_path):
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as tar:
        for name in ("corpus/train.csv", "corpus/../../outside.csv"):
            info = tarfile.TarInfo(name)
            info.size = len(DEV)
            tar.addfile(info, io.BytesIO(DEV))
    Files.content["/a.tar.gz"] = packed.getvalue()
    file = RemoteFile("a.tar.gz", f"{server}/a.tar.gz", members={"corpus/train.csv": "train.csv"})
    shown = {"x": Download("free", "page", (file,))}
    folder = get_corpus("x", tmp_path / "in/side", accepted=True, catalogue=shown)
    assert (folder / "train.csv").read_bytes() == DEV
    assert not list(tmp_path.rglob("outside.csv"))
    lacking = RemoteFile("a.tar.gz", f"{server}/a.tar.gz", members={"corpus/dev.csv": "dev.csv"})
    with pytest.raises(DataFormatError, match="a.tar.gz is not the archive expected"):
        get_corpus("x", tmp_path / "b", accepted=True, catalogue={"x": Download("free", "page", (lacking,))})


def test_an_address_that_does_not_answer_says_so(server, tmp_path):
    shown = catalogue(server)
    del Files.content["/train.tsv"]
    with pytest.raises(DataNotFoundError, match=r"train.tsv could not be downloaded .*404.* goes on where it stopped"):
        get_corpus("goemotions", tmp_path, accepted=True, catalogue=shown)


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_the_licence_is_asked_for_at_a_terminal(server, tmp_path, monkeypatch):
    shown = catalogue(server)
    with pytest.raises(ConfigError, match=r"the licence of goemotions \(CC BY 4.0\) is not accepted. .*accept_licence"):
        get_corpus("goemotions", tmp_path / "go", catalogue=shown)
    monkeypatch.setattr(fetch, "is_terminal", lambda: True)
    for answer in ("n\n", ""):  # the second is Ctrl-D
        monkeypatch.setattr("sys.stdin", Terminal(answer))
        with pytest.raises(ConfigError, match="was not accepted, so nothing was downloaded"):
            get_corpus("goemotions", tmp_path / "go", catalogue=shown)
    assert Files.asked == []
    monkeypatch.setattr("sys.stdin", Terminal("yes\n"))
    assert (get_corpus("goemotions", tmp_path / "go", catalogue=shown) / "dev.tsv").is_file()


@pytest.mark.parametrize("name", BY_HAND)
def test_what_may_not_be_passed_on_says_how_to_get_it(name):
    with pytest.raises(DataNotFoundError, match=f"{name} cannot be downloaded for you: .*http"):
        main(["get", name])


def test_an_unknown_name_is_refused_with_the_nearest():
    with pytest.raises(ConfigError, match=r"no corpus 'goemotion' to download. Did you mean 'goemotions'\?"):
        main(["get", "goemotion"])
    with pytest.raises(ConfigError, match=r"no corpus 'zzz' to download. There are: goemotions, "):
        main(["get", "zzz"])


def test_every_name_is_a_source_and_every_address_is_safe():
    kinds = set(SourceKind.__args__)
    assert {*DOWNLOADS, *BY_HAND} == kinds - {"sample", "table"}
    for download in DOWNLOADS.values():
        assert all(file.url.startswith("https://") and "/" not in file.name for file in download.files)
