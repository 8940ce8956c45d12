//! [`Fault`]: any seeded fault.

use super::service_fault::ServiceFault;
use super::store_fault::StoreFault;

/// One broken rule. A run with a fault must fail the cases that name it, and no others, except
/// [random](crate::Case::random) ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Fault {
    /// The store breaks its contract.
    Store(StoreFault),
    /// A correct store breaks when its servers are disrupted.
    Service(ServiceFault),
}

impl Fault {
    /// Every fault.
    #[must_use]
    pub fn all() -> Vec<Self> {
        let store = StoreFault::ALL.iter().copied().map(Self::Store);
        store.chain(ServiceFault::ALL.iter().copied().map(Self::Service)).collect()
    }
}

impl From<StoreFault> for Fault {
    fn from(fault: StoreFault) -> Self {
        Self::Store(fault)
    }
}

impl From<ServiceFault> for Fault {
    fn from(fault: ServiceFault) -> Self {
        Self::Service(fault)
    }
}
