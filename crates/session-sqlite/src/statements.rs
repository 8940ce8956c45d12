//! [`Statements`]: the SQL of the operations.

use std::sync::Arc;

use session_core::Namespace;

use crate::schema::render;

/// Declares [`Statements`]: each is a file in `sql/`.
macro_rules! statements {
    ($($name:ident)*) => {
        /// The text of each statement, for one application. Constant, so that a connection prepares each once.
        pub(crate) struct Statements {
            $(pub(crate) $name: Arc<str>),*
        }

        impl Statements {
            pub(crate) fn new(namespace: &Namespace) -> Self {
                Self { $($name: render(namespace, include_str!(concat!("sql/", stringify!($name), ".sql")))),* }
            }
        }
    };
}

statements! {
    load list_by_user list_all count rivals insert visitors delete_expired_visitors delete_visitors update version touch delete
    delete_id delete_by_user delete_expired expired shrink
}
