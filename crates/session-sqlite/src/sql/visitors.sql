SELECT visitors FROM {meta}
