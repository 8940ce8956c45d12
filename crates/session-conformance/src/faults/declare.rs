//! `faults!`: how an enum of faults is declared.

/// Declares an enum of faults and the list of all of them, which cannot be incomplete.
macro_rules! faults {
    (
        $(#[$meta:meta])*
        pub enum $name:ident {
            $($(#[doc = $line:literal])+ $fault:ident,)*
        }
    ) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum $name {
            $($(#[doc = $line])+ $fault,)*
        }

        impl $name {
            /// Every fault of this kind.
            pub const ALL: &'static [Self] = &[$(Self::$fault,)*];
        }
    };
}

pub(crate) use faults;
