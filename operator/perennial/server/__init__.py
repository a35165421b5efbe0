"""The bundled model server: Open Inference Protocol v2 REST and MLflow's `/invocations` for one model, in one process.

Why own handlers on starlette and uvicorn: MLServer and the kserve SDK each resolve to 67 packages (gRPC, pandas,
OpenTelemetry, a Kafka or cloud client) against 23 here, MLServer holds starlette at 0.46, and neither refuses unsafe
files, bounds its queue or drains as is done here. That is most of this package; the protocol is two hundred lines.
Measured with one digits classifier on one core: MLServer 1.7 without workers 211 MiB and 2,000 requests a second, this
server 151 MiB and 3,300.
"""
