//! The front desk as a whole: started, stopped, and what its parts share.

use std::{
    io,
    net::SocketAddr,
    sync::{Arc, atomic::AtomicU64},
    time::Duration,
};

use axum::Router;
use tokio::{
    net::TcpListener,
    runtime::Handle,
    sync::{Semaphore, watch},
    task::JoinHandle,
    time,
};
use tracing::{info, warn};

use crate::{
    domain::bucket::Rate,
    http::{
        actors, admin,
        auth::Tokens,
        desk_metrics::DeskMetrics,
        listener::{self, Door, Phase},
        place::Places,
        proxy::TrustedProxies,
        routes,
        settings::FrontDeskSettings,
        stage::Stage,
        turn_away::TurnAway,
    },
    protocol::time::Timestamp,
};

/// Connections that operators' port may have.
const MAX_ADMIN_CONNECTIONS: usize = 64;

/// Tells server time.
pub type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// A front desk that could not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// An address that cannot be listened on.
    #[error("cannot listen on {address}: {source}")]
    Bind {
        /// The address in question.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
}

/// What requests are answered from.
pub(crate) struct Desk {
    pub(crate) settings: FrontDeskSettings,
    pub(crate) tokens: Tokens,
    pub(crate) stage: Arc<dyn Stage>,
    pub(crate) clock: Clock,
    pub(crate) metrics: Arc<DeskMetrics>,
    pub(crate) places: Arc<Places>,
    pub(crate) trusted: Arc<TrustedProxies>,
    pub(crate) next_connection: AtomicU64,
    /// Places for streams of events on operators' port.
    pub(crate) streams: Arc<Semaphore>,
}

/// Starts the front desk.
#[derive(Debug)]
pub struct FrontDesk;

/// A front desk that runs. Dropped, it ends at once, with all its connections; those handed to shards live on.
#[derive(Debug)]
pub struct FrontDeskHandle {
    local_addr: SocketAddr,
    admin_addr: Option<SocketAddr>,
    public: Running,
    admin: Option<Running>,
}

#[derive(Debug)]
struct Running {
    phase: watch::Sender<Phase>,
    task: JoinHandle<()>,
}

impl FrontDesk {
    /// Listens on both ports, then serves on `runtime`. Whoever calls needs not be on it.
    pub fn start(
        runtime: &Handle,
        settings: FrontDeskSettings,
        tokens: Tokens,
        stage: Arc<dyn Stage>,
        clock: Clock,
    ) -> Result<FrontDeskHandle, StartError> {
        // Both before either serves: a port that is taken must not leave half a server.
        let public = bind((settings.host, settings.port).into())?;
        let admin = settings.admin_bind.map(bind).transpose()?;

        let desk = Arc::new(Desk {
            metrics: Arc::default(),
            places: Arc::new(Places::new(
                settings.max_connections,
                settings.max_connections_by_address,
                settings.pace_by_address,
            )),
            trusted: Arc::new(TrustedProxies::new(settings.trusted_proxies.iter().copied())),
            next_connection: AtomicU64::new(1),
            streams: Arc::new(Semaphore::new(actors::MAX_STREAMS)),
            settings,
            tokens,
            stage,
            clock,
        });
        let door = |router: Router| Door {
            router,
            metrics: Arc::clone(&desk.metrics),
            places: Arc::clone(&desk.places),
            turn_away: Arc::new(TurnAway::of(&desk.places)),
            clock: Arc::clone(&desk.clock),
            trusted: Arc::clone(&desk.trusted),
            proxy_protocol: desk.settings.proxy_protocol,
            header_timeout: desk.settings.header_timeout,
            tcp_user_timeout: desk.settings.tcp_user_timeout,
        };
        let admin = admin.map(|(listener, address)| {
            let door = Door {
                metrics: Arc::default(),
                places: Arc::new(Places::new(MAX_ADMIN_CONNECTIONS, MAX_ADMIN_CONNECTIONS, Rate::UNLIMITED)),
                trusted: Arc::default(),
                proxy_protocol: false,
                ..door(admin::router(Arc::clone(&desk)))
            };
            (Running::spawn(runtime, door, listener), address)
        });
        let (listener, local_addr) = public;
        let public = Running::spawn(runtime, door(routes::router(Arc::clone(&desk))), listener);
        let (admin, admin_addr) = admin.unzip();
        info!(%local_addr, ?admin_addr, "front desk listens");
        Ok(FrontDeskHandle { local_addr, admin_addr, public, admin })
    }
}

impl FrontDeskHandle {
    /// Where the public port listens.
    pub fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    /// Where operators' port listens, if there is one.
    pub fn admin_addr(&self) -> Option<SocketAddr> {
        self.admin_addr
    }

    /// Closes the public port to new connections; those there are live on. Operators' port stays open, so that one
    /// can watch the server drain.
    pub fn stop_accepting(&self) {
        self.public.advance(Phase::Closed);
    }

    /// Ends it: no more connections, requests in progress are finished, and what is not by `deadline` from now is
    /// cut off. Sockets that a shard has are not touched. Operators' port is closed last.
    pub async fn shutdown(self, deadline: Duration) {
        self.public.end(deadline).await;
        if let Some(admin) = self.admin {
            admin.end(Duration::from_millis(100)).await;
        }
    }
}

impl Running {
    fn spawn(runtime: &Handle, door: Door, listener: std::net::TcpListener) -> Self {
        let (phase, phases) = watch::channel(Phase::Open);
        let task = runtime.spawn(async move {
            match TcpListener::from_std(listener) {
                Ok(listener) => Arc::new(door).run(listener, phases).await,
                Err(error) => warn!(%error, "the runtime does not take the listening socket"),
            }
        });
        Self { phase, task }
    }

    fn advance(&self, to: Phase) {
        self.phase.send_if_modified(|phase| std::mem::replace(phase, to.max(*phase)) < to);
    }

    async fn end(mut self, deadline: Duration) {
        self.advance(Phase::Draining);
        if time::timeout(deadline, &mut self.task).await.is_err() {
            self.advance(Phase::Cut);
            // Aborted tasks end at their next await, so this wait is short. A failure is a panic, reported already.
            let _ = (&mut self.task).await;
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn bind(address: SocketAddr) -> Result<(std::net::TcpListener, SocketAddr), StartError> {
    let error = |source| StartError::Bind { address, source };
    let listener = listener::bind(address).map_err(error)?;
    let address = listener.local_addr().map_err(error)?;
    Ok((listener, address))
}
