"""What proves a message: the vector that Standard Webhooks' own libraries are held against."""

import pytest

from mediaproxy.webhooks.signature import headers, parse_secret


def test_the_published_vector() -> None:
    key = parse_secret("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    assert headers(key, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}') == [
        ("webhook-id", "msg_p5jXN8AQM9LWM0D4loKWxJek"),
        ("webhook-timestamp", "1614265330"),
        ("webhook-signature", "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="),
    ]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "whsec_",
        "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
        "whsec_MfKQ",
        "whsec_ä",
        "whsec_" + "A" * 88,
        "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaS!",
    ],
)
def test_what_is_no_secret(text: str) -> None:
    with pytest.raises(ValueError, match="not a secret; write"):
        parse_secret(text)
