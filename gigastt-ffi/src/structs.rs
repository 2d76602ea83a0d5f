//! Structures that the caller allocates. Each starts with its size, so that one of an older or newer
//! header works: what both sides know is copied.

use crate::fence::Failure;

/// A structure of C whose first field is its size.
///
/// # Safety
/// `#[repr(C)]`, the first field is `struct_size: usize`, and every pattern of zero bytes is a value.
pub(crate) unsafe trait Versioned: Copy {
    /// The size in the first release of the library that has the structure.
    const FIRST: usize;
}

/// Reads a structure; fields that the caller's header does not know are zero.
///
/// # Safety
/// `place` is NULL or points to as many readable bytes as its first field says.
pub(crate) unsafe fn read<T: Versioned>(place: *const T, name: &str) -> Result<T, Failure> {
    // SAFETY: by the contract of this function.
    let size = unsafe { size_of_caller(place, name) }?.min(size_of::<T>());
    // SAFETY: zero bytes are a value by the contract of the trait.
    let mut value: T = unsafe { std::mem::zeroed() };
    // SAFETY: readable by the contract of this function; the value is at least as long.
    unsafe { std::ptr::copy_nonoverlapping(place.cast::<u8>(), (&raw mut value).cast(), size) };
    Ok(value)
}

/// Fills a structure; the caller's size stays.
///
/// # Safety
/// `place` is NULL or points to as many writable bytes as its first field says.
pub(crate) unsafe fn fill<T: Versioned>(place: *mut T, name: &str, value: &T) -> Result<(), Failure> {
    const HEAD: usize = size_of::<usize>();
    // SAFETY: by the contract of this function.
    let size = unsafe { size_of_caller(place, name) }?.min(size_of::<T>());
    let from = std::ptr::from_ref(value).cast::<u8>();
    // SAFETY: writable by the contract of this function; the value is at least as long.
    unsafe { std::ptr::copy_nonoverlapping(from.add(HEAD), place.cast::<u8>().add(HEAD), size - HEAD) };
    Ok(())
}

/// # Safety
/// `place` is NULL or points to a readable `usize`.
unsafe fn size_of_caller<T: Versioned>(place: *const T, name: &str) -> Result<usize, Failure> {
    if place.is_null() {
        return Err(Failure::argument(format!("{name}: expected a structure, found NULL")));
    }
    // SAFETY: the first field by the contract of the trait and of this function.
    let size = unsafe { place.cast::<usize>().read_unaligned() };
    if size < T::FIRST {
        let message = format!("{name}: expected struct_size to be {} or more, found {size}", T::FIRST);
        return Err(Failure::argument(message));
    }
    Ok(size)
}
