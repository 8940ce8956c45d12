//! Randomness, as something that can fail.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use rand::TryRng;
use rand::rngs::SysRng;
use zeroize::Zeroizing;

/// The generator did not deliver random bytes. Nothing is issued in that case: there is no fallback.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the random generator of the operating system failed; no session was created")]
pub struct EntropyError;

/// A source of cryptographically secure random bytes.
///
/// [`OsEntropy`] is the one to use; the trait exists so that tests can make the generator repeat itself or fail.
pub trait Entropy: fmt::Debug + Send + Sync + 'static {
    /// Fills `dest` with random bytes.
    ///
    /// # Errors
    /// [`EntropyError`] if the generator failed. `dest` must not be used then.
    fn fill(&self, dest: &mut [u8]) -> Result<(), EntropyError>;
}

/// A generator that was chosen at run time, or that is shared.
impl<E: Entropy + ?Sized> Entropy for Arc<E> {
    fn fill(&self, dest: &mut [u8]) -> Result<(), EntropyError> {
        (**self).fill(dest)
    }
}

/// The generator of the operating system; the default.
///
/// A user-space generator would be faster by about 0.4 µs per token, but is not safe across `fork` and snapshots of
/// virtual machines, where two servers would issue the same tokens.
#[derive(Clone, Copy, Debug, Default)]
pub struct OsEntropy;

impl Entropy for OsEntropy {
    fn fill(&self, dest: &mut [u8]) -> Result<(), EntropyError> {
        SysRng.try_fill_bytes(dest).map_err(|_| EntropyError)
    }
}

/// `N` random bytes that were drawn at once, to be given out in parts: a call of the operating system costs more than
/// the bytes. Gives out none twice, and fails when they are used up.
pub(crate) struct Batch<const N: usize> {
    bytes: Zeroizing<[u8; N]>,
    used: AtomicUsize,
}

impl<const N: usize> Batch<N> {
    pub(crate) fn draw(entropy: &dyn Entropy) -> Result<Self, EntropyError> {
        Ok(Self { bytes: Zeroizing::new(random(entropy)?), used: AtomicUsize::new(0) })
    }
}

impl<const N: usize> Entropy for Batch<N> {
    fn fill(&self, dest: &mut [u8]) -> Result<(), EntropyError> {
        let start = self.used.fetch_add(dest.len(), Ordering::Relaxed);
        let part = self.bytes.get(start..start.saturating_add(dest.len())).ok_or(EntropyError)?;
        dest.copy_from_slice(part);
        Ok(())
    }
}

impl<const N: usize> fmt::Debug for Batch<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Batch(..)")
    }
}

/// `N` random bytes.
pub(crate) fn random<const N: usize>(entropy: &dyn Entropy) -> Result<[u8; N], EntropyError> {
    let mut bytes = [0; N];
    entropy.fill(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_gives_out_no_byte_twice_and_fails_at_its_end() {
        #[derive(Debug)]
        struct Numbers;
        impl Entropy for Numbers {
            fn fill(&self, dest: &mut [u8]) -> Result<(), EntropyError> {
                dest.iter_mut().zip(0..).for_each(|(byte, number)| *byte = number);
                Ok(())
            }
        }
        let batch = Batch::<5>::draw(&Numbers).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(random::<2>(&batch), Ok([0, 1]));
        assert_eq!(random::<3>(&batch), Ok([2, 3, 4]));
        assert_eq!(random::<1>(&batch), Err(EntropyError));
        assert_eq!(random::<1>(&batch), Err(EntropyError), "nor does it begin again");
    }
}
