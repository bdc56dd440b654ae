// Registration of every model of DifferentiableOpInterface.
#include "Gradients.h"
#include "bpt/Interfaces/Register.h"

void bpt::registerDifferentiableModels(mlir::DialectRegistry &registry) {
  registerScalarGradients(registry);
  registerLinalgGradients(registry);
  registerTensorGradients(registry);
  registerAttentionGradients(registry);
  registerFeedForwardGradients(registry);
  registerNormGradients(registry);
  registerVocabularyGradients(registry);
  registerCheckpointGradients(registry);
  registerBlockwiseGradients(registry);
  registerCallGradients(registry);
}
