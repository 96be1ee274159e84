"""A machine made of files: the tables of its kernel as a test writes them."""

from __future__ import annotations

from ipaddress import ip_address
from pathlib import Path

from resolver.machine.files import Machine

_HEAD = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"


class FakedMachine:
    """Files below a folder; `machine` reads them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.machine = Machine(folder)
        for table in ("udp", "udp6", "tcp", "tcp6"):
            self.write(f"/proc/net/{table}", _HEAD)

    def write(self, path: str, text: str) -> None:
        """A file of the machine."""
        file = self.folder / path.lstrip("/")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)

    def listen(
        self, protocol: str, address: str, port: int, *, inode: int, uid: int = 0, state: str = ""
    ) -> None:
        """A socket in the kernel's tables."""
        found = ip_address(address)
        octets = found.packed
        text = b"".join(octets[at : at + 4][::-1] for at in range(0, len(octets), 4)).hex().upper()
        state = state or ("07" if protocol == "udp" else "0A")
        row = f"  1: {text}:{port:04X} {'0' * len(text)}:0000 {state} 00000000:00000000 00:00000000 00000000  {uid}  0 {inode} 2\n"
        path = self.folder / "proc" / "net" / (protocol + ("6" if found.version == 6 else ""))
        path.write_text(path.read_text() + row)

    def process(self, pid: int, program: str, *, inodes: tuple[int, ...] = (), command: str = "") -> None:
        """A process that holds sockets."""
        self.write(f"/proc/{pid}/comm", f"{program}\n")
        self.write(f"/proc/{pid}/cmdline", command)
        descriptors = self.folder / "proc" / str(pid) / "fd"
        descriptors.mkdir()
        for number, inode in enumerate(inodes):
            (descriptors / str(number)).symlink_to(f"socket:[{inode}]")
