"""Any text is credentials, a stale nonce or `Malformed`; what a client makes by the RFC fits."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mediaproxy.errors import Malformed
from mediaproxy.sip.digest import Algorithm, Credentials, Secret, parse_credentials, response
from mediaproxy.sip.nonces import Judgement, Nonces
from tests.support.sip_build import numbered_bytes

pytestmark = pytest.mark.slow

WHOLE = (
    'Digest username="a", realm="b", nonce="c", uri="/d", qop=auth, nc=00000001, cnonce="e",'
    ' response="6629fae49393a05397450978507c4ef1"'
)


@given(st.text(max_size=400))
def test_any_text_is_credentials_or_malformed(text: str) -> None:
    for whole in (text, f"Digest {text}", f'{WHOLE}, x="{text}"'):
        with suppress(Malformed):
            parse_credentials(whole)


_WORD = st.text(st.characters(codec="utf-8", exclude_characters="\r\n\x00"), min_size=1, max_size=30)


@given(user=_WORD, realm=_WORD, password=_WORD, cnonce=_WORD, count=st.integers(1, 2**32 - 1))
def test_what_a_client_makes_fits(user: str, realm: str, password: str, cnonce: str, count: int) -> None:
    for algorithm in Algorithm:
        blank = Credentials(user, realm, "n", "sip:x", algorithm, count, cnonce, "")
        secret = Secret.of(user, realm, password)
        given_response = response(blank, secret.known(algorithm) or "", "REGISTER")
        quoted = [text.replace("\\", "\\\\").replace('"', '\\"') for text in (user, realm, cnonce)]
        credentials = parse_credentials(
            'Digest username="{}", realm="{}", cnonce="{}"'.format(*quoted)
            + f', nonce="n", uri="sip:x", algorithm={algorithm.value}, qop="auth", nc={count:08x}'
            + f', response="{given_response}"'
        )
        assert credentials is not None
        assert (credentials.user, credentials.realm, credentials.count) == (user, realm, count)
        assert credentials.fits("REGISTER", secret)
        assert not credentials.fits("REGISTER", Secret.of(user, realm, password + "x"))


@given(st.text(max_size=60))
def test_any_text_is_a_stale_nonce(text: str) -> None:
    assert Nonces(numbered_bytes()).judge(text, 1, "pbx.example", "192.0.2.9", now_ns=1) is Judgement.STALE
