import numpy as np
import onnxruntime


class OnnxModel:
    row_wise = True  # the answer to a row depends on that row alone

    def load(self):
        self.session = onnxruntime.InferenceSession("model.onnx")

    def predict(self, X, names):
        (probabilities,) = self.session.run(None, {"X": np.asarray(X, np.float32)})
        return probabilities

    def class_names(self):
        return ["red", "green", "blue"]
