"""Single instructions, run on operands that are sent: what an emulator computes shows without any library in between.

Each is a function of machine code, `f(a, b, c, out)`, of pointers to 32 bytes; the code is chosen by name, and never
sent. Standard library alone. Assembled with GNU as; the assembly stands beside the bytes.
"""

import ctypes
import mmap
import platform
from collections.abc import Sequence

WIDTH = 32
"""Bytes of an operand and of a result; what an instruction does not write stays zero."""

X86_CODE = {
    "pmaddwd": (
        "f30f6f07"  # movdqu xmm0, [rdi]
        "f30f6f0e"  # movdqu xmm1, [rsi]
        "660ff5c1"  # pmaddwd xmm0, xmm1
        "f30f7f01"  # movdqu [rcx], xmm0
        "c3"  # ret
    ),
    "pmaddubsw": (
        "f30f6f07"  # movdqu xmm0, [rdi]
        "f30f6f0e"  # movdqu xmm1, [rsi]
        "660f3804c1"  # pmaddubsw xmm0, xmm1
        "f30f7f01"  # movdqu [rcx], xmm0
        "c3"  # ret
    ),
    "vpmaddubsw": (
        "c5fe6f07"  # vmovdqu ymm0, [rdi]
        "c4e27d0406"  # vpmaddubsw ymm0, ymm0, [rsi]
        "c5fe7f01"  # vmovdqu [rcx], ymm0
        "c5f877"  # vzeroupper
        "c3"  # ret
    ),
    "mulps, addps": (
        "0f1007"  # movups xmm0, [rdi]
        "0f100e"  # movups xmm1, [rsi]
        "0f1012"  # movups xmm2, [rdx]
        "0f59c1"  # mulps xmm0, xmm1
        "0f58c2"  # addps xmm0, xmm2
        "0f1101"  # movups [rcx], xmm0
        "c3"  # ret
    ),
    "vfmadd213ps": (
        "c5fc1007"  # vmovups ymm0, [rdi]
        "c5fc100e"  # vmovups ymm1, [rsi]
        "c4e275a802"  # vfmadd213ps ymm0, ymm1, [rdx]
        "c5fc1101"  # vmovups [rcx], ymm0
        "c5f877"  # vzeroupper
        "c3"  # ret
    ),
    "vcvtph2ps, vcvtps2ph": (
        "c4e27d1307"  # vcvtph2ps ymm0, [rdi]
        "c4e27d130e"  # vcvtph2ps ymm1, [rsi]
        "c5fc59c1"  # vmulps ymm0, ymm0, ymm1
        "c4e37d1d0100"  # vcvtps2ph [rcx], ymm0, 0
        "c5f877"  # vzeroupper
        "c3"  # ret
    ),
}

ARM_LOADS = (0x3DC00000, 0x3DC00021, 0x3DC00042)  # ldr q0, [x0]; ldr q1, [x1]; ldr q2, [x2]
ARM_STORES = (0x3D800062, 0xD65F03C0)  # str q2, [x3]; ret
ARM_CODE = {
    "smlal": (0x0E218002,),  # smlal v2.8h, v0.8b, v1.8b
    "fmul, fadd": (0x6E21DC00, 0x4E22D402),  # fmul v0.4s, v0.4s, v1.4s; fadd v2.4s, v0.4s, v2.4s
    "fmla": (0x4E21CC02,),  # fmla v2.4s, v0.4s, v1.4s
    "fcvtl, fcvtn": (
        *(0x0E217800, 0x0E217821),  # fcvtl v0.4s, v0.4h; fcvtl v1.4s, v1.4h
        *(0x6E21DC00, 0x0E216802),  # fmul v0.4s, v0.4s, v1.4s; fcvtn v2.4h, v0.4s
    ),
    "fmla, half": (0x4E410C02,),  # fmla v2.8h, v0.8h, v1.8h
    "sdot": (0x4E819402,),  # sdot v2.4s, v0.16b, v1.16b
    "udot": (0x6E819402,),  # udot v2.4s, v0.16b, v1.16b
    "smmla": (0x4E81A402,),  # smmla v2.4s, v0.16b, v1.16b
}

CPUID = (
    "53"  # push rbx
    "4989d0"  # mov r8, rdx
    "89f8"  # mov eax, edi
    "89f1"  # mov ecx, esi
    "0fa2"  # cpuid
    "418900"  # mov [r8], eax
    "41895804"  # mov [r8+4], ebx
    "41894808"  # mov [r8+8], ecx
    "4189500c"  # mov [r8+12], edx
    "5b"  # pop rbx
    "c3"  # ret
)
EAX, EBX, ECX = range(3)
CPUID_BITS = {
    "ssse3": (1, 0, ECX, 9),
    "fma": (1, 0, ECX, 12),
    "sse4_1": (1, 0, ECX, 19),
    "sse4_2": (1, 0, ECX, 20),
    "avx": (1, 0, ECX, 28),
    "f16c": (1, 0, ECX, 29),
    "avx2": (7, 0, EBX, 5),
    "avx512f": (7, 0, EBX, 16),
    "avx512_vnni": (7, 0, ECX, 11),
    "avx_vnni": (7, 1, EAX, 4),
}
"""Linux's name of an instruction set: leaf, subleaf, register and bit of CPUID (Intel SDM, volume 2A)."""

AT_HWCAP, AT_HWCAP2 = 16, 26
HWCAP_BITS = {
    "asimd": (AT_HWCAP, 1),
    "asimdhp": (AT_HWCAP, 10),
    "asimddp": (AT_HWCAP, 20),
    "sve": (AT_HWCAP, 22),
    "i8mm": (AT_HWCAP2, 13),
    "bf16": (AT_HWCAP2, 14),
    "sme": (AT_HWCAP2, 23),
}
"""Linux's name of an instruction set, and its bit (arch/arm64/include/uapi/asm/hwcap.h)."""


def features() -> list[str]:
    """Return the instruction sets that this process is shown, of those that decide how products are computed."""
    if platform.machine() == "aarch64":
        value = ctypes.CDLL(None).getauxval
        value.restype, value.argtypes = ctypes.c_ulong, [ctypes.c_ulong]
        return [name for name, (kind, bit) in HWCAP_BITS.items() if value(kind) >> bit & 1]
    if platform.machine() != "x86_64":
        return []
    return [name for name, place in CPUID_BITS.items() if _cpuid(*place[:2])[place[2]] >> place[3] & 1]


def _cpuid(leaf: int, subleaf: int) -> Sequence[int]:
    found = (ctypes.c_uint32 * 4)()
    with _Code(bytes.fromhex(CPUID)) as address:
        ctypes.CFUNCTYPE(None, ctypes.c_uint, ctypes.c_uint, ctypes.c_void_p)(address)(leaf, subleaf, found)
    return list(found)


def known() -> tuple[str, ...]:
    """Return the names of the instructions that can be tried on this kind of machine."""
    match platform.machine():
        case "x86_64":
            return tuple(X86_CODE)
        case "aarch64":
            return tuple(ARM_CODE)
    return ()


def computed(name: str, operands: Sequence[tuple[bytes, bytes, bytes]]) -> list[bytes]:
    """Run one instruction on triples of operands of `WIDTH` bytes; return as many bytes for each.

    A processor that does not have the instruction ends this process by SIGILL.
    """
    if platform.machine() == "aarch64":
        words = (*ARM_LOADS, *ARM_CODE[name], *ARM_STORES)
        code = b"".join(word.to_bytes(4, "little") for word in words)
    else:
        code = bytes.fromhex(X86_CODE[name])
    results = []
    with _Code(code) as address:
        function = ctypes.CFUNCTYPE(None, *[ctypes.c_void_p] * 4)(address)
        for triple in operands:
            given = [ctypes.create_string_buffer(operand, WIDTH) for operand in triple]
            out = ctypes.create_string_buffer(WIDTH)
            function(*(ctypes.cast(one, ctypes.c_void_p) for one in (*given, out)))
            results.append(out.raw)
    return results


class _Code:
    """Machine code in a page of its own, which can be executed while this lasts; gives its address."""

    def __init__(self, code: bytes) -> None:
        self._page = mmap.mmap(-1, mmap.PAGESIZE, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
        self._page.write(code)

    def __enter__(self) -> int:
        self._view = ctypes.c_char.from_buffer(self._page)
        return ctypes.addressof(self._view)

    def __exit__(self, *_: object) -> None:
        del self._view
        self._page.close()
