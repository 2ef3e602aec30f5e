// The bcryptprimitives.dll that a Go program loads at its start. Wine 8 has none. Beside
// ProcessPrng, it gives the process the removal that Go's os.Root uses, and Wine 8 lacks.
#include <windows.h>
#include <ntsecapi.h>
#include <string.h>
#include <winternl.h>

__declspec(dllexport) BOOL WINAPI ProcessPrng(PBYTE data, SIZE_T size) { return RtlGenRandom(data, size); }

typedef NTSTATUS(NTAPI *set_information_file)(HANDLE, IO_STATUS_BLOCK *, void *, ULONG, int);

static set_information_file wine;

// set_file takes FileDispositionInformationEx (64) as FileDispositionInformation (13): the
// file is removed when its last handle is closed, and a name in use is not free at once.
static NTSTATUS NTAPI set_file(HANDLE file, IO_STATUS_BLOCK *io, void *data, ULONG size, int class)
{
    BOOLEAN remove;

    if (class != 64) return wine(file, io, data, size, class);
    remove = *(ULONG *)data & 1; // FILE_DISPOSITION_DELETE
    return wine(file, io, &remove, sizeof remove, 13);
}

// DllMain replaces NtSetInformationFile, whose code is one system call, by a jump.
BOOL WINAPI DllMain(HINSTANCE self, DWORD reason, void *reserved)
{
    static const BYTE jump[] = {0xff, 0x25, 0, 0, 0, 0}; // jmp to the address that follows
    BYTE *code = (BYTE *)GetProcAddress(GetModuleHandleA("ntdll"), "NtSetInformationFile");
    void *target = set_file;
    DWORD old;

    if (reason != DLL_PROCESS_ATTACH) return TRUE;
    wine = VirtualAlloc(NULL, 32, MEM_COMMIT, PAGE_EXECUTE_READWRITE);
    if (!wine || !VirtualProtect(code, 32, PAGE_EXECUTE_READWRITE, &old)) return FALSE;
    memcpy(wine, code, 32);
    memcpy(code, jump, sizeof jump);
    memcpy(code + sizeof jump, &target, sizeof target);
    return VirtualProtect(code, 32, old, &old);
}
