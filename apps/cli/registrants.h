// Who registers in a measurement of response times, and how they are identified: by images over
// HTTPS as devices do, or, for dimensions that no engine at hand has, by templates from an edge of
// the benchmark's own.
#pragma once

#include <filesystem>
#include <memory>
#include <string>

#include "apps/cli/response_plot.h"
#include "apps/cli/served_deployment.h"
#include "face/engine.h"

namespace bauta::cli {

inline constexpr size_t kProbesPerCount = 15;

class Registrants {
 public:
  virtual ~Registrants() = default;
  virtual size_t dimension() const = 0;
  virtual Status grow_to(size_t registrants) = 0;
  // Medians over kProbesPerCount identifications.
  virtual Result<ResponseTime> measure() = 0;
  // Sentences for the end of the report.
  virtual std::string description() const = 0;
};

// folder: NAME/NAME_0001.jpg; where people run out, random templates are enrolled. Errors:
// not_found; those of the edge.
Result<std::unique_ptr<Registrants>> register_by_images(ServedDeployment& deployment,
                                                        const std::filesystem::path& folder);
Result<std::unique_ptr<Registrants>> register_by_templates(ServedDeployment& deployment,
                                                           size_t dimension);

// Of nobody; the same for the same seed.
face::Embedding random_template(size_t dimension, uint64_t seed);

}  // namespace bauta::cli
