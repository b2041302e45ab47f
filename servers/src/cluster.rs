//! Redis Cluster.

use crate::{Options, Result, Server, Service, free_port, redis};

/// How many masters there are.
const MASTERS: usize = 3;

/// How many slots keys fall into.
const SLOTS: usize = 16_384;

/// A Redis Cluster of three masters without replicas, each with a third of the slots.
#[derive(Debug)]
#[must_use]
pub struct RedisCluster([Service; MASTERS]);

impl RedisCluster {
    /// Starts it and waits until all three serve.
    ///
    /// # Errors
    ///
    /// If one can't be started; with what it printed.
    pub fn start() -> Result<Self> {
        Self::start_with(&Options::new())
    }

    /// Starts each with lines of `redis.conf`.
    ///
    /// # Errors
    ///
    /// If one can't be started; with what it printed.
    pub fn start_with(options: &Options) -> Result<Self> {
        let (first, bus) = master(options)?;
        let (second, second_bus) = master(options)?;
        let (third, third_bus) = master(options)?;
        let cluster = Self([first, second, third]);
        for (i, (service, bus)) in cluster.0.iter().zip([bus, second_bus, third_bus]).enumerate() {
            let slots = [SLOTS * i / MASTERS, SLOTS * (i + 1) / MASTERS - 1].map(|slot| slot.to_string());
            redis::call(service, &["CLUSTER", "SET-CONFIG-EPOCH", &(i + 1).to_string()])?;
            redis::call(service, &["CLUSTER", "ADDSLOTSRANGE", &slots[0], &slots[1]])?;
            let (port, bus) = (service.address().port().to_string(), bus.to_string());
            redis::call(&cluster.0[0], &["CLUSTER", "MEET", "127.0.0.1", &port, &bus])?;
        }
        cluster.await_service()?;
        Ok(cluster)
    }

    /// Waits until every master sees all slots served.
    fn await_service(&self) -> Result<()> {
        crate::service::wait_until("the cluster serves all slots", || {
            let serves = |service| -> Result<bool> {
                let info = redis::call(service, &["CLUSTER", "INFO"])?;
                let is = |line: &str| info.text().lines().any(|known| known == line);
                Ok(is("cluster_state:ok") && is("cluster_slots_ok:16384") && is("cluster_known_nodes:3"))
            };
            self.0.iter().try_fold(true, |all, service| Ok(serves(service)? && all))
        })
    }
}

impl Server for RedisCluster {
    fn dsn(&self) -> String {
        let addresses: Vec<_> = self.0.iter().map(|service| service.address().to_string()).collect();
        format!("redis+cluster://{}", addresses.join(","))
    }

    fn services(&self) -> &[Service] {
        &self.0
    }

    fn restart(&self) -> Result<()> {
        self.0.iter().try_for_each(Service::restart)?;
        self.await_service()
    }
}

/// Starts a master, and returns it with the port that the masters talk over.
fn master(options: &Options) -> Result<(Service, u16)> {
    let bus = free_port();
    let cluster =
        ["cluster-enabled yes".into(), format!("cluster-port {bus}"), "cluster-node-timeout 2000".into()];
    let options = cluster.into_iter().fold(options.clone(), Options::set);
    Ok((redis::service("redis-cluster", &options)?, bus))
}
