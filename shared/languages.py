"""One name for each language: the code that data, bundle and requests use, and what a detector calls it."""

from __future__ import annotations

import re

from shared.errors import InvalidInputError

_CODE = re.compile(r"[a-z]{2,3}(?:-[a-z0-9]{1,8}){0,3}")

_PAIRS = """afr=af amh=am ara=ar ben=bn bul=bg cat=ca ces=cs chi=zh cze=cs dan=da deu=de dut=nl ell=el eng=en
    est=et eus=eu fas=fa fin=fi fra=fr fre=fr ger=de gre=el guj=gu hau=ha heb=he hin=hi hrv=hr hun=hu hye=hy ibo=ig
    ind=id isl=is ita=it jav=jv jpn=ja kan=kn kat=ka kaz=kk khm=km kin=rw kor=ko lao=lo lav=lv lit=lt mal=ml mar=mr
    may=ms mkd=mk mon=mn msa=ms mya=my nep=ne nld=nl nor=no orm=om pan=pa per=fa pol=pl por=pt pus=ps ron=ro rum=ro
    rus=ru slk=sk slv=sl som=so spa=es sqi=sq srp=sr sun=su swa=sw swe=sv tam=ta tat=tt tel=te tgl=tl tha=th tir=ti
    tur=tr ukr=uk urd=ur uzb=uz vie=vi xho=xh yor=yo zho=zh zul=zu
    chn=zh esp=es ptbr=pt-br ptmz=pt-mz"""

_TWO_LETTERS = dict(pair.split("=") for pair in _PAIRS.split())
"""Codes of three letters (ISO 639-2 and 639-3) that have one of two (ISO 639-1); the last line is BRIGHTER's own."""

_DETECTED_AS = {
    "arq": "ar", "ary": "ar", "apc": "ar", "cmn": "zh", "nb": "no", "nn": "no", "pcm": "en", "iw": "he", "in": "id",
}  # fmt: skip
"""Language -> the wider one that fastText's lid.176 takes it for."""


def language_code(word: str) -> str:
    """The code of a language as it is written here: `EN`, `eng` and `en` are all `en`, `pt_BR` is `pt-br`.

    Codes of three letters without one of two, such as `vmw`, stay as they are.

    Raises:
        InvalidInputError: for what is no code.
    """
    code = word.strip().lower().replace("_", "-")
    code = _TWO_LETTERS.get(code, code)
    if not _CODE.fullmatch(code):
        raise InvalidInputError(
            f"'{word[:40]}' is no code of a language.", hint="Write it as en, deu or pt-BR: ISO 639, with a region."
        )
    first, *region = code.split("-")
    return "-".join([_TWO_LETTERS.get(first, first), *region])


def detected_code(code: str) -> str:
    """What the detector calls a language: without its region, and a dialect by the language it is told as."""
    first = code.split("-", maxsplit=1)[0]
    return _DETECTED_AS.get(first, first)
