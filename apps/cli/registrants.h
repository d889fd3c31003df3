// Who registers in a measurement of response times, and how they are identified: by images over
// HTTPS as devices do, or, for dimensions that no engine at hand has, by templates from an edge of
// the benchmark's own.
#pragma once

#include <filesystem>
#include <functional>
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
  // Medians over kProbesPerCount identifications, as strategy "packed".
  virtual Result<ResponseTime> measure() = 0;
  // Sentences for the end of the report.
  virtual std::string description() const = 0;

  // Where people run out, random templates are enrolled; whole blocks of them in bulk.
  Status grow_to(size_t registrants);

 protected:
  explicit Registrants(ServedDeployment& deployment) : deployment_(deployment) {}

  // One more person by image as this subject; false when nobody is left.
  virtual Result<bool> enrol_person(const std::string& subject) = 0;
  virtual Status with_edge(const std::function<Status(edge::Edge&)>& work) = 0;

  ServedDeployment& deployment_;
  size_t enrolled_ = 0;

 private:
  Status enrol_templates(size_t count);
};

// folder: NAME/NAME_0001.jpg. Errors: not_found; refused when no image can be used; those of the
// edge.
Result<std::unique_ptr<Registrants>> register_by_images(ServedDeployment& deployment,
                                                        const std::filesystem::path& folder);
Result<std::unique_ptr<Registrants>> register_by_templates(ServedDeployment& deployment,
                                                           size_t dimension);

// Of nobody; the same for the same seed.
face::Embedding random_template(size_t dimension, uint64_t seed);

}  // namespace bauta::cli
