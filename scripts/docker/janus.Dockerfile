# Debian's Janus, set up for a cluster: sessions outlive the connection of their media role, and handles share a few
# threads. Rooms and mountpoints are the stock ones.
FROM debian:12-slim
RUN apt-get update \
 && apt-get install -y --no-install-recommends janus \
 && rm -rf /var/lib/apt/lists/*
RUN sed -i -E \
      -e 's/^([[:space:]]*)#reclaim_session_timeout = 0/\1reclaim_session_timeout = 90/' \
      -e 's/^([[:space:]]*)#event_loops = 8/\1event_loops = 4/' \
      -e 's/^([[:space:]]*)#ignore_mdns = true/\1ignore_mdns = true/' \
      /etc/janus/janus.jcfg \
 && grep -q '^[[:space:]]*reclaim_session_timeout = 90' /etc/janus/janus.jcfg \
 && grep -q '^[[:space:]]*event_loops = 4' /etc/janus/janus.jcfg
EXPOSE 8188
HEALTHCHECK --interval=5s --timeout=3s --start-period=10s CMD ["bash", "-c", "exec 3<>/dev/tcp/127.0.0.1/8188"]
ENTRYPOINT ["janus", "--disable-colors"]
