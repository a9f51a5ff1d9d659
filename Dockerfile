# The programs of Horizon and its plugins, in one image. Two stages: the compiler stays behind.
#
# Both images can be named from outside, where others than these are at hand.
ARG BUILD_IMAGE=rust:1-bookworm
ARG BASE_IMAGE=debian:bookworm-slim

FROM ${BUILD_IMAGE} AS build
WORKDIR /src
COPY . .
RUN cargo build --release --locked \
        -p horizon-atlas -p horizon-region-server -p horizon-state-store \
        -p horizon-plugin-movement -p horizon-plugin-chat -p horizon-plugin-ledger \
 && mkdir -p /out/bin /out/plugins \
 && cp target/release/atlas target/release/atlasctl target/release/region-server target/release/store /out/bin/ \
 && cp target/release/libhorizon_plugin_*.so /out/plugins/

FROM ${BASE_IMAGE}
RUN groupadd --gid 10001 horizon \
 && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /srv/horizon --shell /usr/sbin/nologin horizon \
 && install -d -o horizon -g horizon -m 0700 /srv/horizon/data \
 && install -d -o horizon -g horizon /srv/horizon/plugins
COPY --from=build /out/bin/ /usr/local/bin/
COPY --from=build /out/plugins/ /usr/lib/horizon/plugins/
COPY deploy/setup /usr/local/bin/setup
COPY deploy/horizon.toml /srv/horizon/horizon.toml
USER 10001:10001
WORKDIR /srv/horizon
EXPOSE 7777/tcp
CMD ["atlas"]
