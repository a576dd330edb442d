//! The entry and the kernel's calls, without a C library: its start costs more than all that the shim
//! does (it asks the processor about itself, which a virtual machine answers slowly).
use core::arch::{asm, global_asm};
use core::{ptr, slice};

#[cfg(target_arch = "x86_64")]
mod number {
    pub const READ: usize = 0;
    pub const WRITE: usize = 1;
    pub const SOCKET: usize = 41;
    pub const CONNECT: usize = 42;
    pub const SEND: usize = 44;
    pub const SET_OPTION: usize = 54;
    pub const EXIT: usize = 231;
}
#[cfg(target_arch = "aarch64")]
mod number {
    pub const READ: usize = 63;
    pub const WRITE: usize = 64;
    pub const EXIT: usize = 94;
    pub const SOCKET: usize = 198;
    pub const CONNECT: usize = 203;
    pub const SEND: usize = 206;
    pub const SET_OPTION: usize = 208;
}

// The stack at the entry: argc, argv, 0, the environment, 0.
#[cfg(target_arch = "x86_64")]
global_asm!(".globl _start", "_start:", "xor ebp, ebp", "mov rdi, rsp", "and rsp, -16", "call {}", sym entry);
#[cfg(target_arch = "aarch64")]
global_asm!(".globl _start", "_start:", "mov x29, #0", "mov x30, #0", "mov x0, sp", "bl {}", sym entry);

extern "C" fn entry(stack: *const usize) -> ! {
    // SAFETY: the kernel's layout of a new process's stack; its texts live as long as the process.
    let (arguments, environment) = unsafe {
        let arguments = stack.add(1).cast::<*const u8>();
        (Texts(arguments), Texts(arguments.add(*stack + 1)))
    };
    crate::run(arguments, environment)
}

/// Arguments or environment: pointers to texts, then a null pointer.
#[derive(Clone, Copy)]
pub struct Texts(*const *const u8);

impl Iterator for Texts {
    type Item = &'static [u8];
    fn next(&mut self) -> Option<&'static [u8]> {
        // SAFETY: see `entry`; the null pointer at the end is never passed.
        unsafe {
            let text = *self.0;
            if text.is_null() {
                return None;
            }
            self.0 = self.0.add(1);
            let mut length = 0;
            while *text.add(length) != 0 {
                length += 1;
            }
            Some(slice::from_raw_parts(text, length))
        }
    }
}

// What the compiler takes for granted; `no_builtins` keeps it from making each a call of itself.
#[no_mangle]
unsafe extern "C" fn memcpy(to: *mut u8, from: *const u8, count: usize) -> *mut u8 {
    for i in 0..count {
        *to.add(i) = *from.add(i);
    }
    to
}

#[no_mangle]
unsafe extern "C" fn memset(to: *mut u8, byte: i32, count: usize) -> *mut u8 {
    for i in 0..count {
        *to.add(i) = byte as u8;
    }
    to
}

#[no_mangle]
unsafe extern "C" fn bcmp(a: *const u8, b: *const u8, count: usize) -> i32 {
    for i in 0..count {
        if *a.add(i) != *b.add(i) {
            return 1;
        }
    }
    0
}

#[no_mangle]
unsafe extern "C" fn memcmp(a: *const u8, b: *const u8, count: usize) -> i32 {
    for i in 0..count {
        if *a.add(i) != *b.add(i) {
            return i32::from(*a.add(i)) - i32::from(*b.add(i));
        }
    }
    0
}

/// The kernel's refusal.
#[derive(Clone, Copy, PartialEq)]
pub struct Errno(pub usize);
const EINTR: Errno = Errno(4);

// SAFETY: the caller's pointers are valid for what the call reads and writes.
unsafe fn call(number: usize, a: [usize; 5]) -> Result<usize, Errno> {
    loop {
        let result: isize;
        #[cfg(target_arch = "x86_64")]
        asm!("syscall", inlateout("rax") number as isize => result, in("rdi") a[0], in("rsi") a[1],
            in("rdx") a[2], in("r10") a[3], in("r8") a[4], in("r9") 0usize,
            lateout("rcx") _, lateout("r11") _, options(nostack));
        #[cfg(target_arch = "aarch64")]
        asm!("svc 0", in("x8") number, inlateout("x0") a[0] as isize => result, in("x1") a[1],
            in("x2") a[2], in("x3") a[3], in("x4") a[4], in("x5") 0usize, options(nostack));
        if result >= 0 {
            return Ok(result as usize);
        }
        let errno = Errno(result.unsigned_abs());
        if errno != EINTR {
            return Err(errno);
        }
    }
}

pub const STDIN: usize = 0;
pub const STDOUT: usize = 1;

/// How much was read; 0 at the end.
pub fn read(file: usize, into: &mut [u8]) -> Result<usize, Errno> {
    unsafe { call(number::READ, [file, into.as_mut_ptr() as usize, into.len(), 0, 0]) }
}

/// What stdout does not take is lost: nobody is left to be told.
pub fn print(mut bytes: &[u8]) {
    while !bytes.is_empty() {
        match unsafe { call(number::WRITE, [STDOUT, bytes.as_ptr() as usize, bytes.len(), 0, 0]) } {
            Ok(count) if count > 0 => bytes = &bytes[count..],
            _ => return,
        }
    }
}

pub fn exit(code: usize) -> ! {
    unsafe {
        let _ = call(number::EXIT, [code, 0, 0, 0, 0]);
    }
    loop {}
}

const AF_UNIX: u16 = 1;
const SOCK_STREAM_CLOEXEC: usize = 0o2000001;
const SOL_SOCKET: usize = 1;
const SO_RCVTIMEO: usize = 20;
const SO_SNDTIMEO: usize = 21;
const MSG_NOSIGNAL: usize = 0x4000;
const ENAMETOOLONG: Errno = Errno(36);

/// struct sockaddr_un.
#[repr(C)]
struct Address {
    family: u16,
    path: [u8; 108],
}

/// A connection to the Unix socket whose calls give up after so many seconds.
pub fn connect(path: &[u8], patience_seconds: usize) -> Result<usize, Errno> {
    let mut address = Address { family: AF_UNIX, path: [0; 108] };
    if path.len() >= address.path.len() {
        return Err(ENAMETOOLONG);
    }
    address.path[..path.len()].copy_from_slice(path);
    let length = size_of::<u16>() + path.len() + 1;
    let patience = [patience_seconds, 0]; // struct timeval
    unsafe {
        let socket = call(number::SOCKET, [AF_UNIX as usize, SOCK_STREAM_CLOEXEC, 0, 0, 0])?;
        call(number::CONNECT, [socket, ptr::from_ref(&address) as usize, length, 0, 0])?;
        for option in [SO_RCVTIMEO, SO_SNDTIMEO] {
            let value = patience.as_ptr() as usize;
            call(number::SET_OPTION, [socket, SOL_SOCKET, option, value, size_of_val(&patience)])?;
        }
        Ok(socket)
    }
}

/// All of it.
pub fn send(socket: usize, mut bytes: &[u8]) -> Result<(), Errno> {
    while !bytes.is_empty() {
        let address = bytes.as_ptr() as usize;
        let count = unsafe { call(number::SEND, [socket, address, bytes.len(), MSG_NOSIGNAL, 0])? };
        bytes = &bytes[count..];
    }
    Ok(())
}

#[panic_handler]
fn panic(_: &core::panic::PanicInfo) -> ! {
    exit(1)
}
