# What a browser talks to: nginx in front of the edges, and the stock demo pages.
FROM debian:12-slim
RUN apt-get update \
 && apt-get install -y --no-install-recommends nginx-light janus-demos \
 && rm -rf /var/lib/apt/lists/*
COPY scripts/docker/nginx.conf /etc/nginx/nginx.conf
COPY scripts/docker/settings.js /etc/nginx/settings.js
EXPOSE 8080 8088 8188
HEALTHCHECK --interval=5s --timeout=3s CMD ["bash", "-c", "exec 3<>/dev/tcp/127.0.0.1/8188"]
ENTRYPOINT ["nginx", "-g", "daemon off;"]
