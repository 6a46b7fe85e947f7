//! Stands before the C library's file functions. The linker takes these definitions for everything in the executable, Rust's standard
//! library and SQLite alike; each makes the system call itself and tells [`crate::recorder`] of it. While nothing is recorded they do
//! nothing else.
//!
//! What changes names (rename, unlink, mkdir) needs no place here: some of it is called past the C library, so the recorder looks at the
//! folders before each operation instead. A call that changes a file in a way that the recorder does not know is noted as such and makes
//! the recording void; what bypasses even that is found when the recording is compared with the folder at its end.
#![expect(unsafe_code, reason = "a function of the C library can only be taken the place of by one of its name and its shape")]

use std::{
    cell::Cell,
    ffi::{CStr, OsStr},
    os::unix::ffi::OsStrExt,
    path::Path,
};

use libc::{self, c_char, c_int, c_long, c_void, iovec, mode_t, off_t, size_t, ssize_t};

use crate::recorder::{self, Call, Recorder};

thread_local! {
    /// Whether this thread is inside of the recorder: what that does by itself is not recorded.
    static INSIDE: Cell<bool> = const { Cell::new(false) };
}

fn errno() -> c_int {
    // SAFETY: the address of the thread's own error number is always valid.
    unsafe { *libc::__errno_location() }
}

fn set_errno(number: c_int) {
    // SAFETY: as above.
    unsafe { *libc::__errno_location() = number }
}

/// Runs a call under the recorder, if there is one and the call is not its own.
fn watched(call: impl FnOnce(Option<&mut Recorder>) -> c_long) -> c_long {
    if !recorder::is_recording() || INSIDE.get() {
        return call(None);
    }
    INSIDE.set(true);
    let (result, number) = recorder::with(|recorder| {
        let result = call(recorder);
        (result, errno())
    });
    INSIDE.set(false);
    set_errno(number);
    result
}

/// Work of the recorder's own, of which nothing is recorded.
pub(crate) fn unrecorded<T>(work: impl FnOnce() -> T) -> T {
    let before = INSIDE.replace(true);
    let result = work();
    INSIDE.set(before);
    result
}

/// A call on a descriptor: refused if a fault says so, made otherwise, and noted with its result if it worked.
fn on_descriptor(descriptor: c_int, call: Call, make: impl FnOnce() -> c_long, note: impl FnOnce(&mut Recorder, u32, u64)) -> c_long {
    watched(|recorder| {
        let Some(recorder) = recorder else { return make() };
        let Some(node) = recorder.node_of(descriptor) else { return make() };
        if let Some(number) = recorder.refusal(node, call) {
            set_errno(number);
            return -1;
        }
        let result = make();
        if let Ok(result) = u64::try_from(result) {
            let number = errno();
            note(recorder, node, result);
            set_errno(number);
        }
        result
    })
}

/// What a descriptor is of: the device, and the inode on it.
pub(crate) fn device_and_inode(descriptor: c_int) -> Option<(u64, u64)> {
    let mut status = std::mem::MaybeUninit::<libc::stat>::uninit();
    // SAFETY: the kernel fills the whole of it when it answers with 0, and it is looked at only then.
    let status = unsafe { (libc::fstat(descriptor, status.as_mut_ptr()) == 0).then(|| status.assume_init()) }?;
    Some((status.st_dev, status.st_ino))
}

/// Where the next write through this descriptor goes; behind one, where it ended.
fn position(descriptor: c_int) -> u64 {
    // SAFETY: a plain call with numbers.
    u64::try_from(unsafe { libc::lseek(descriptor, 0, libc::SEEK_CUR) }).unwrap_or(0)
}

/// # Safety
/// `bytes` must be the caller's buffer of at least `length` bytes.
unsafe fn taken<'a>(bytes: *const c_void, length: u64) -> &'a [u8] {
    // SAFETY: the kernel has just read these bytes of the caller's buffer.
    unsafe { std::slice::from_raw_parts(bytes.cast(), usize::try_from(length).unwrap_or(0)) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn write(descriptor: c_int, bytes: *const c_void, length: size_t) -> ssize_t {
    // SAFETY: the caller's own arguments.
    let make = || unsafe { libc::syscall(libc::SYS_write, descriptor, bytes, length) };
    on_descriptor(descriptor, Call::Write, make, |recorder, file, written| {
        // SAFETY: the kernel took this many bytes from there.
        recorder.wrote(file, position(descriptor) - written, unsafe { taken(bytes, written) });
    }) as ssize_t
}

unsafe fn write_at(descriptor: c_int, bytes: *const c_void, length: size_t, offset: off_t) -> ssize_t {
    // SAFETY: the caller's own arguments.
    let make = || unsafe { libc::syscall(libc::SYS_pwrite64, descriptor, bytes, length, offset) };
    on_descriptor(descriptor, Call::Write, make, |recorder, file, written| {
        // SAFETY: the kernel took this many bytes from there.
        recorder.wrote(file, u64::try_from(offset).unwrap_or(0), unsafe { taken(bytes, written) });
    }) as ssize_t
}

#[unsafe(no_mangle)]
unsafe extern "C" fn pwrite(descriptor: c_int, bytes: *const c_void, length: size_t, offset: off_t) -> ssize_t {
    // SAFETY: the caller's own arguments.
    unsafe { write_at(descriptor, bytes, length, offset) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn pwrite64(descriptor: c_int, bytes: *const c_void, length: size_t, offset: off_t) -> ssize_t {
    // SAFETY: the caller's own arguments.
    unsafe { write_at(descriptor, bytes, length, offset) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn writev(descriptor: c_int, parts: *const iovec, count: c_int) -> ssize_t {
    // SAFETY: the caller's own arguments.
    let make = || unsafe { libc::syscall(libc::SYS_writev, descriptor, parts, count) };
    on_descriptor(descriptor, Call::Write, make, |recorder, file, written| {
        let mut all = Vec::new();
        for part in 0..usize::try_from(count).unwrap_or(0) {
            // SAFETY: the kernel has just read the same parts.
            let part = unsafe { &*parts.add(part) };
            // SAFETY: likewise.
            all.extend_from_slice(unsafe { taken(part.iov_base, part.iov_len as u64) });
        }
        all.truncate(usize::try_from(written).unwrap_or(0));
        recorder.wrote(file, position(descriptor) - written, &all);
    }) as ssize_t
}

unsafe fn cut(descriptor: c_int, length: off_t) -> c_int {
    // SAFETY: a plain call with numbers.
    let make = || unsafe { libc::syscall(libc::SYS_ftruncate, descriptor, length) };
    on_descriptor(descriptor, Call::Cut, make, |recorder, file, _| recorder.cut(file, u64::try_from(length).unwrap_or(0))) as c_int
}

#[unsafe(no_mangle)]
unsafe extern "C" fn ftruncate(descriptor: c_int, length: off_t) -> c_int {
    // SAFETY: the caller's own arguments.
    unsafe { cut(descriptor, length) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn ftruncate64(descriptor: c_int, length: off_t) -> c_int {
    // SAFETY: the caller's own arguments.
    unsafe { cut(descriptor, length) }
}

fn sync_by(number: c_long, descriptor: c_int) -> c_int {
    // SAFETY: a plain call with numbers.
    let make = || unsafe { libc::syscall(number, descriptor) };
    on_descriptor(descriptor, Call::Sync, make, |recorder, node, _| recorder.synced(node)) as c_int
}

#[unsafe(no_mangle)]
extern "C" fn fsync(descriptor: c_int) -> c_int {
    sync_by(libc::SYS_fsync, descriptor)
}

#[unsafe(no_mangle)]
extern "C" fn fdatasync(descriptor: c_int) -> c_int {
    sync_by(libc::SYS_fdatasync, descriptor)
}

unsafe fn open_from(folder: c_int, path: *const c_char, flags: c_int, mode: mode_t) -> c_int {
    // SAFETY: the caller's own arguments.
    let make = || unsafe { libc::syscall(libc::SYS_openat, folder, path, flags, mode) };
    watched(|recorder| {
        let Some(recorder) = recorder else { return make() };
        // SAFETY: a path of the C library ends with a zero.
        let name = Path::new(OsStr::from_bytes(unsafe { CStr::from_ptr(path) }.to_bytes()));
        // What is opened relative to a folder's descriptor is nothing that these stores do in their own folders.
        if !recorder.is_below(name) {
            return make();
        }
        if let Some(number) = recorder.refusal_to_open(name, flags & (libc::O_WRONLY | libc::O_RDWR) != 0) {
            set_errno(number);
            return -1;
        }
        let cuts = (flags & libc::O_TRUNC != 0).then(|| recorder.file_at(name)).flatten();
        if flags & (libc::O_DSYNC | libc::O_DIRECT) != 0 {
            recorder.void(format!("{} is opened for writes that need no sync", name.display()));
        }
        let result = make();
        let number = errno();
        if result >= 0 {
            if let Some(file) = cuts {
                recorder.cut(file, 0);
            }
            recorder.look_around();
        }
        set_errno(number);
        result
    }) as c_int
}

#[unsafe(no_mangle)]
unsafe extern "C" fn open(path: *const c_char, flags: c_int, mode: mode_t) -> c_int {
    // SAFETY: the caller's own arguments; a mode that was not given is not looked at by the kernel either.
    unsafe { open_from(libc::AT_FDCWD, path, flags, mode) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn open64(path: *const c_char, flags: c_int, mode: mode_t) -> c_int {
    // SAFETY: as above.
    unsafe { open_from(libc::AT_FDCWD, path, flags | libc::O_LARGEFILE, mode) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn openat(folder: c_int, path: *const c_char, flags: c_int, mode: mode_t) -> c_int {
    // SAFETY: as above.
    unsafe { open_from(folder, path, flags, mode) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn openat64(folder: c_int, path: *const c_char, flags: c_int, mode: mode_t) -> c_int {
    // SAFETY: as above.
    unsafe { open_from(folder, path, flags | libc::O_LARGEFILE, mode) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn read(descriptor: c_int, bytes: *mut c_void, length: size_t) -> ssize_t {
    // SAFETY: the caller's own arguments.
    let make = || unsafe { libc::syscall(libc::SYS_read, descriptor, bytes, length) };
    if !recorder::refuses_reads() {
        return make() as ssize_t;
    }
    on_descriptor(descriptor, Call::Read, make, |_, _, _| {}) as ssize_t
}

unsafe fn read_at(descriptor: c_int, bytes: *mut c_void, length: size_t, offset: off_t) -> ssize_t {
    // SAFETY: the caller's own arguments.
    let make = || unsafe { libc::syscall(libc::SYS_pread64, descriptor, bytes, length, offset) };
    if !recorder::refuses_reads() {
        return make() as ssize_t;
    }
    on_descriptor(descriptor, Call::Read, make, |_, _, _| {}) as ssize_t
}

#[unsafe(no_mangle)]
unsafe extern "C" fn pread(descriptor: c_int, bytes: *mut c_void, length: size_t, offset: off_t) -> ssize_t {
    // SAFETY: the caller's own arguments.
    unsafe { read_at(descriptor, bytes, length, offset) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn pread64(descriptor: c_int, bytes: *mut c_void, length: size_t, offset: off_t) -> ssize_t {
    // SAFETY: the caller's own arguments.
    unsafe { read_at(descriptor, bytes, length, offset) }
}

/// What changes a file in a way that is not recorded: the recording is void.
fn unknown(name: &str, descriptor: c_int, make: impl FnOnce() -> c_long) -> c_long {
    on_descriptor(descriptor, Call::Write, make, |recorder, _, _| recorder.void(format!("{name} was called, which is not recorded")))
}

#[unsafe(no_mangle)]
unsafe extern "C" fn mmap(at: *mut c_void, length: size_t, rights: c_int, flags: c_int, descriptor: c_int, offset: off_t) -> *mut c_void {
    // SAFETY: the caller's own arguments.
    let make = || unsafe { libc::syscall(libc::SYS_mmap, at, length, rights, flags, descriptor, offset) };
    let writes = descriptor >= 0 && flags & libc::MAP_SHARED != 0 && rights & libc::PROT_WRITE != 0;
    if !writes {
        return make() as *mut c_void;
    }
    on_descriptor(descriptor, Call::Map, make, |recorder, file, _| recorder.mapped(file)) as *mut c_void
}

#[unsafe(no_mangle)]
unsafe extern "C" fn mmap64(at: *mut c_void, length: size_t, rights: c_int, flags: c_int, descriptor: c_int, offset: off_t) -> *mut c_void {
    // SAFETY: the caller's own arguments.
    unsafe { mmap(at, length, rights, flags, descriptor, offset) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn pwritev(descriptor: c_int, parts: *const iovec, count: c_int, offset: off_t) -> ssize_t {
    // SAFETY: the caller's own arguments; the offset goes as two halves, of which the kernel takes the first on 64 bits.
    unknown("pwritev", descriptor, || unsafe { libc::syscall(libc::SYS_pwritev, descriptor, parts, count, offset, 0) }) as ssize_t
}

#[unsafe(no_mangle)]
unsafe extern "C" fn pwritev64(descriptor: c_int, parts: *const iovec, count: c_int, offset: off_t) -> ssize_t {
    // SAFETY: the caller's own arguments.
    unsafe { pwritev(descriptor, parts, count, offset) }
}

#[unsafe(no_mangle)]
extern "C" fn fallocate(descriptor: c_int, mode: c_int, offset: off_t, length: off_t) -> c_int {
    // SAFETY: a plain call with numbers.
    unknown("fallocate", descriptor, || unsafe { libc::syscall(libc::SYS_fallocate, descriptor, mode, offset, length) }) as c_int
}

#[unsafe(no_mangle)]
extern "C" fn fallocate64(descriptor: c_int, mode: c_int, offset: off_t, length: off_t) -> c_int {
    fallocate(descriptor, mode, offset, length)
}

#[unsafe(no_mangle)]
extern "C" fn posix_fallocate(descriptor: c_int, offset: off_t, length: off_t) -> c_int {
    if fallocate(descriptor, 0, offset, length) == 0 { 0 } else { errno() }
}

#[unsafe(no_mangle)]
extern "C" fn posix_fallocate64(descriptor: c_int, offset: off_t, length: off_t) -> c_int {
    posix_fallocate(descriptor, offset, length)
}

#[unsafe(no_mangle)]
unsafe extern "C" fn copy_file_range(from: c_int, at: *mut off_t, to: c_int, to_at: *mut off_t, length: size_t, flags: u32) -> ssize_t {
    // SAFETY: the caller's own arguments.
    unknown("copy_file_range", to, || unsafe { libc::syscall(libc::SYS_copy_file_range, from, at, to, to_at, length, flags) }) as ssize_t
}

#[unsafe(no_mangle)]
unsafe extern "C" fn sendfile(to: c_int, from: c_int, at: *mut off_t, length: size_t) -> ssize_t {
    // SAFETY: the caller's own arguments.
    unknown("sendfile", to, || unsafe { libc::syscall(libc::SYS_sendfile, to, from, at, length) }) as ssize_t
}

#[unsafe(no_mangle)]
unsafe extern "C" fn sendfile64(to: c_int, from: c_int, at: *mut off_t, length: size_t) -> ssize_t {
    // SAFETY: the caller's own arguments.
    unsafe { sendfile(to, from, at, length) }
}

/// A promise that it does not keep (no size, no flush of the disk): nothing may rely on it, so it counts as unknown.
#[unsafe(no_mangle)]
extern "C" fn sync_file_range(descriptor: c_int, offset: off_t, length: off_t, flags: u32) -> c_int {
    // SAFETY: a plain call with numbers.
    unknown("sync_file_range", descriptor, || unsafe { libc::syscall(libc::SYS_sync_file_range, descriptor, offset, length, flags) })
        as c_int
}
