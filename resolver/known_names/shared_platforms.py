"""Names that many people share: blocking one takes strangers down with the exchange that uses it.

Knows: the names, and what each is.  Does not know: who tries to block them, the Public Suffix
List; what CNAMEs lead to is in `infrastructure`.
A name under one of them (`acme.zendesk.com`) may well be an exchange's own, so only the platform itself
and names above it are too much to block.  The shipped catalogue lists nothing under them, either.
"""

from __future__ import annotations

from functools import cache

from resolver.known_names.infrastructure import infrastructure
from resolver.wire.names import name_from_text, suffix_offsets

SHARED_PLATFORMS_BY_KIND: dict[str, dict[str, str]] = {
    "code hosts": {
        "bitbucket.org": "repositories of everybody",
        "codesandbox.io": "everybody's code, run",
        "git.io": "shortened links of a code host",
        "github.com": "repositories of everybody",
        "github.io": "web pages of everybody's repositories",
        "githubusercontent.com": "files of everybody's repositories",
        "gitlab.com": "repositories of everybody",
        "gitlab.io": "web pages of everybody's repositories",
        "npmjs.com": "a package registry",
        "npmjs.org": "a package registry",
        "pastebin.com": "everybody's pastes",
    },
    "document hosts": {
        "apiary.io": "API documents of many companies",
        "apidog.io": "API documents of many companies",
        "getpostman.com": "API documents of many companies",
        "gitbook.com": "documents of many companies",
        "gitbook.io": "documents of many companies",
        "notion.site": "documents of everybody",
        "notion.so": "documents of everybody",
        "postman.com": "API documents of many companies",
        "prismic.io": "texts of many web sites",
        "readme.io": "API documents of many companies",
        "readthedocs.io": "documents of many projects",
        "readthedocs.org": "documents of many projects",
        "redoc.ly": "API documents of many companies",
        "stoplight.io": "API documents of many companies",
        "swaggerhub.com": "API documents of many companies",
    },
    "help desks": {
        "ada.support": "support pages of many companies",
        "crisp.chat": "support chats of many companies",
        "freshchat.com": "support chats of many companies",
        "freshdesk.com": "support pages of many companies",
        "helpscoutdocs.com": "support pages of many companies",
        "intercom.help": "support pages of many companies",
        "statuspage.io": "status pages of many companies",
        "zendesk.com": "support pages of many companies",
    },
    "clouds and content networks": {
        "cdnhop.net": "a content network",
        "cloudflare.com": "a content network",
    },
    "block chain nodes": {
        "kingnodes.com": "nodes of many block chains",
        "publicnode.com": "nodes of many block chains",
    },
    "app stores and measurement": {
        "app.link": "links into many companies' apps",
        "apple.com": "an app store, and much more",
        "appsflyersdk.com": "measurement in many companies' apps",
        "onelink.me": "links into many companies' apps",
        "page.link": "links into many companies' apps",
        "testflight.com": "an app store",
    },
    "social networks and publishing": {
        "discord.com": "a social network",
        "discord.gg": "a social network",
        "facebook.com": "a social network",
        "instagram.com": "a social network",
        "linkedin.com": "a social network",
        "medium.com": "a publisher of everybody's texts",
        "reddit.com": "a social network",
        "substack.com": "a publisher of everybody's texts",
        "t.me": "a messenger",
        "telegram.me": "a messenger",
        "telegram.org": "a messenger",
        "twitter.com": "a social network",
        "wordpress.com": "a publisher of everybody's texts",
        "x.com": "a social network",
        "youtube.com": "everybody's films",
    },
    "search and office": {
        "accounts.google.com": "everybody's accounts",
        "bit.ly": "shortened links of everybody",
        "docs.google.com": "documents of everybody",
        "drive.google.com": "files of everybody",
        "dropbox.com": "files of everybody",
        "forms.gle": "forms of everybody",
        "google.com": "documents, forms and sites of everybody, and much more",
        "live.com": "everybody's mail and files",
        "mail.google.com": "everybody's mail",
        "microsoft.com": "an operating system, and much more",
        "office.com": "documents of everybody",
        "play.google.com": "an app store",
        "sites.google.com": "web pages of everybody",
        "typeform.com": "forms of many companies",
    },
}
"""kind -> name -> what it is; all of it written by people."""


@cache
def shared_platforms() -> dict[bytes, str]:
    """Give each platform in wire form, and what it is."""
    return {
        name_from_text(name): what
        for names in SHARED_PLATFORMS_BY_KIND.values()
        for name, what in names.items()
    }


@cache
def above_shared_platforms() -> dict[bytes, bytes]:
    """Give each name above a platform or above infrastructure, and one of those it covers."""
    shared = (*infrastructure(), *shared_platforms())
    return {name[at:]: name for name in shared for at in suffix_offsets(name)[1:]}
