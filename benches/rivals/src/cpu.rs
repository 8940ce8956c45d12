//! How long this process and servers have computed.

use redis::aio::MultiplexedConnection;
use rustix::time::{ClockId, clock_gettime};

/// Seconds of all threads of this process.
pub fn own() -> f64 {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}

/// A Redis or Valkey server that is asked.
pub struct Server(MultiplexedConnection);

impl Server {
    /// Connects.
    pub async fn connect(url: &str) -> Self {
        Self(redis::Client::open(url).unwrap().get_multiplexed_async_connection().await.unwrap())
    }

    /// Seconds that the server has computed; 0 for none.
    pub async fn computed(server: Option<&Self>) -> f64 {
        let Some(Self(connection)) = server else { return 0.0 };
        let info: String = redis::cmd("INFO").arg("cpu").query_async(&mut connection.clone()).await.unwrap();
        let values = ["used_cpu_user:", "used_cpu_sys:"]
            .map(|name| info.lines().find_map(|line| line.strip_prefix(name)?.trim().parse::<f64>().ok()).unwrap());
        values.iter().sum()
    }
}
