# gigastt serve, as a user without rights.
#
#   docker build -t gigastt .
#   docker run -p 127.0.0.1:9876:9876 -v ./models:/models:ro -e GIGASTT_MODEL=/models/gigaam-v3-e2e-rnnt gigastt

FROM rust:1.95-slim-trixie AS build
RUN apt-get update && apt-get install -y --no-install-recommends python3-pip
WORKDIR /gigastt
COPY . .
RUN python3 scripts/setup.py \
    && cargo build --release --locked -p gigastt-sidecar \
    && mkdir /out \
    && cp target/release/gigastt target/onnxruntime/* LICENSE /out/

# ONNX Runtime needs the C++ library, which the slim image has.
FROM debian:trixie-slim
COPY --from=build /out/ /opt/gigastt/
# In a container the port is published by whoever runs it.
ENV PATH=/opt/gigastt:$PATH GIGASTT_HOST=0.0.0.0 GIGASTT_ALLOW_BIND_ANY=1 GIGASTT_METRICS_LISTEN=0.0.0.0:9090
USER 10001:10001
EXPOSE 9876 9090
# It stops in order by SIGTERM, within GIGASTT_SHUTDOWN_DRAIN_SECS.
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=6s --start-period=60s --retries=3 CMD ["/opt/gigastt/gigastt", "health"]
ENTRYPOINT ["/opt/gigastt/gigastt"]
CMD ["serve"]
