//! A look into a file of SQLite.

use std::path::Path;

use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _, Row as _};

use super::base::ServerError;

/// The only value that a statement finds in a file of SQLite, as text. Others may be using the file.
///
/// # Errors
/// If the file is not there, or the statement finds nothing.
pub async fn query_file(file: &Path, sql: &str) -> Result<String, ServerError> {
    let query = async {
        let mut connection = SqliteConnectOptions::new().filename(file).read_only(true).connect().await?;
        let row = sqlx::query(AssertSqlSafe(sql.to_owned())).fetch_one(&mut connection).await?;
        connection.close().await?;
        // Whatever its type is.
        row.try_get_unchecked(0)
    };
    query.await.map_err(|error: sqlx::Error| ServerError::new(format!("{}: {error}", file.display())))
}
