"""Names that no rule may block: without them machines can no longer mend, check or find themselves.

Knows: the names, and why each is here.  Does not know: who tries to block them.
Each stands for itself and everything under it.  Operators add theirs under `protected`.
"""

from __future__ import annotations

from resolver.wire.names import name_from_text

BUILT_IN_PROTECTED: dict[str, tuple[str, ...]] = {
    # An unpatched machine is a worse risk than any exchange.
    "operating system updates": (
        "windowsupdate.com",
        "update.microsoft.com",
        "download.microsoft.com",
        "delivery.mp.microsoft.com",
        "swscan.apple.com",
        "swcdn.apple.com",
        "swdist.apple.com",
        "gdmf.apple.com",
        "mesu.apple.com",
        "updates.cdn-apple.com",
        "archive.ubuntu.com",
        "security.ubuntu.com",
        "ports.ubuntu.com",
        "deb.debian.org",
        "security.debian.org",
        "mirrors.fedoraproject.org",
        "dl.fedoraproject.org",
        "dl-cdn.alpinelinux.org",
        "download.opensuse.org",
        "cdn.redhat.com",
        "android.clients.google.com",
    ),
    # Without revocation status browsers fail slowly, or accept stolen certificates.
    "certificate status (OCSP, CRL)": (
        "ocsp.digicert.com",
        "crl3.digicert.com",
        "crl4.digicert.com",
        "ocsp.sectigo.com",
        "crl.sectigo.com",
        "ocsp.usertrust.com",
        "crl.usertrust.com",
        "ocsp.comodoca.com",
        "crl.comodoca.com",
        "ocsp.globalsign.com",
        "crl.globalsign.com",
        "ocsp.entrust.net",
        "crl.entrust.net",
        "ocsp.godaddy.com",
        "crl.godaddy.com",
        "ocsp.pki.goog",
        "o.pki.goog",
        "c.pki.goog",
        "o.lencr.org",
        "c.lencr.org",
        "i.lencr.org",
        "ocsp.apple.com",
        "ocsp2.apple.com",
        "crl.apple.com",
        "valid.apple.com",
        "crl.microsoft.com",
        "ocsp.msocsp.com",
        "mscrl.microsoft.com",
    ),
    # Blocked, every phone in the network reports "no internet".
    "captive portal and connectivity checks": (
        "captive.apple.com",
        "connectivitycheck.gstatic.com",
        "connectivitycheck.android.com",
        "clients3.google.com",
        "www.msftconnecttest.com",
        "dns.msftncsi.com",
        "www.msftncsi.com",
        "ipv6.msftconnecttest.com",
        "detectportal.firefox.com",
        "connectivity-check.ubuntu.com",
        "nmcheck.gnome.org",
        "network-test.debian.org",
    ),
    # A wrong clock breaks every certificate and DNSSEC signature.
    "time": (
        "pool.ntp.org",
        "time.apple.com",
        "time.windows.com",
        "time.google.com",
        "time.cloudflare.com",
        "time.nist.gov",
        "ntp.ubuntu.com",
    ),
    # The DNS's own roots.
    "root servers": ("root-servers.net",),
}


def built_in_protected() -> dict[bytes, str]:
    """Give each protected name in wire form, and the reason it is protected."""
    return {name_from_text(name): reason for reason, names in BUILT_IN_PROTECTED.items() for name in names}
