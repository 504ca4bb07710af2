class Mean:
    row_wise = True  # the answer to a row depends on that row alone

    def predict(self, X, names):
        return X.mean(axis=1, keepdims=True)

    def class_names(self):
        return ["brightness"]
