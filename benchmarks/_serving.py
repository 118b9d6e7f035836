"""ONNX Runtime and OpenVINO, on a number of threads: functions from a model's inputs by name to its outputs."""

from __future__ import annotations


def fix_shapes(model, inputs):
    """Give the inputs of an ONNX model, in place, the shapes of these arrays by name: OpenVINO is faster then."""
    for value in model.graph.input:
        for dimension, size in zip(value.type.tensor_type.shape.dim, inputs[value.name].shape):
            dimension.dim_value = size


def onnxruntime_session(model, n_threads):
    """Return a function that runs an ONNX model, as bytes, in a session of ONNX Runtime."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = n_threads, 1
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    return lambda inputs: session.run(None, inputs)


def openvino_request(model, n_threads):
    """Return a function that runs an ONNX model, as bytes, in an inference request of OpenVINO."""
    import openvino

    settings = {
        "INFERENCE_NUM_THREADS": n_threads,
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_PRECISION_HINT": "f32",
    }
    core = openvino.Core()
    request = core.compile_model(core.read_model(model), "CPU", settings).create_infer_request()
    return lambda inputs: list(request.infer(inputs, share_inputs=True).values())


SERVERS = {"onnxruntime": onnxruntime_session, "openvino": openvino_request}
